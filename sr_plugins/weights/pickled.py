"""Pickles read as data: numbers, texts, tables and tensors. What else they name is neither imported nor called.

The operations of a pickle are listed by ``pickletools``; what they would make is made here of plain objects. In place
of everything that needs a class or a function of others stands its name.
"""

from __future__ import annotations

import builtins
import pickletools
import sys
from collections.abc import Callable
from typing import IO, Any, Protocol, cast

# of Python's own modules, those that keep data; whatever else is named of them would run something
_KEEP_DATA = {
    *("_codecs", "argparse", "array", "collections", "copyreg", "dataclasses", "datetime", "decimal", "enum"),
    *("fractions", "functools", "ipaddress", "logging", "pathlib", "random", "re", "threading", "time", "traceback"),
    *("types", "typing", "uuid", "zoneinfo", "_io", "__main__"),
}
# of the functions that are built in; and what Python 2 had
_BUILT_IN_DATA = {"getattr", "Ellipsis", "NotImplemented", "basestring", "long", "unichr", "unicode", "xrange"}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg", "commands": "subprocess"}
_TABLES = {"builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter"}
_KEYS = str | bytes | int | float | None  # what may be asked for its hash: nothing that holds others
_MOST = 16  # arguments of a call that makes something; the same long ones could be given to many


class Readable(Protocol):
    """A file, or one that is mapped."""

    def read(self, n: int, /) -> bytes:
        """At most ``n`` bytes."""

    def readline(self) -> bytes:
        """The next line, with its end."""


class NotDataError(ValueError):
    """A pickle names what would run something; says what."""


class Inert(dict[Any, Any]):
    """What stands for an object whose class is not imported: the class's name, and what was put in as into a table."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class _Name:
    """A class or a function, by its name alone."""

    def __init__(self, module: str, name: str) -> None:
        module = _PYTHON_2.get(module, module)
        self.path = f"{module}.{name}"
        first = module.partition(".")[0]
        harmless = first in _KEEP_DATA or first not in sys.stdlib_module_names
        if module == "builtins":  # classes are what they are; functions do something
            harmless = name in _BUILT_IN_DATA or isinstance(vars(builtins).get(name), type)
        if not harmless:
            raise NotDataError(f"it names {self.path}")


def read_pickle(
    file: Readable,
    persistent: Callable[[Any], Any],
    make: Callable[[str, tuple[Any, ...]], Any],
) -> Any:
    """What the next pickle in ``file`` holds; the file is left behind it.

    Args:
        persistent: what an object kept outside of the pickle is, by what the pickle calls it.
        make: what a call of the function of that name makes, for example a tensor; ``NotImplemented`` where it is
            none that is known. It must treat the arguments as what a stranger wrote: what holds others may hold so
            many that to compare it, to ask for its hash or to print it never ends.

    Raises:
        NotDataError: it names a part of Python that would run something.
        Exception: it is damaged.
    """
    return _Machine(persistent, make).run(file)


class _Machine:
    def __init__(self, persistent: Callable[[Any], Any], make: Callable[[str, tuple[Any, ...]], Any]) -> None:
        self._persistent = persistent
        self._make = make
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[Any, Any] = {}
        self._encoded: dict[int, tuple[str, bytes]] = {}  # by the text's identity, which it keeps alive

    def run(self, file: Readable) -> Any:
        for operation, argument, _ in pickletools.genops(cast("IO[bytes]", file)):
            name = operation.name
            if name == "STOP":
                return self._stack.pop()
            if (act := getattr(self, f"_{name.lower()}", None)) is not None:
                act() if argument is None else act(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif argument is None or name.startswith("EXT"):
                raise ValueError(f"{name} is no operation of a checkpoint")
            elif name not in ("PROTO", "FRAME"):
                self._stack.append(argument)  # a number, a text or bytes
        raise EOFError("the pickle has no end")

    def _called(self, what: Any, arguments: Any) -> Any:
        given = arguments if isinstance(arguments, tuple) else ()
        path = what.path if isinstance(what, _Name) else f"what {type(what).__name__} makes"
        if path in _TABLES:
            table: dict[Any, Any] = {}
            if given and isinstance(given[0], list):
                for pair in given[0]:
                    if isinstance(pair, tuple | list) and len(pair) == 2:
                        _store(table, *pair)
                given[0].clear()  # used up: a file names it once, and a thousand tables of one list fill the memory
            return table
        if path == "_codecs.encode" and len(given) == 2 and given[1] == "latin1" and isinstance(given[0], str):
            return self._bytes_of(given[0])
        made = self._make(path, _by_name(given[:_MOST]))
        return Inert(path) if made is NotImplemented else made

    def _bytes_of(self, text: str) -> bytes:
        """Bytes as pickles before version 3 have them; made once, however often the file asks for them."""
        if id(text) not in self._encoded:
            self._encoded[id(text)] = text, text.encode("latin-1")
        return self._encoded[id(text)][1]

    def _since_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> None:
        self._since_mark()

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _dup(self) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _binput = _long_binput = _put
    _binget = _long_binget = _get

    def _tuple(self) -> None:
        items = tuple(self._since_mark())
        self._stack.append(items)

    def _list(self) -> None:
        items = self._since_mark()
        self._stack.append(items)

    def _dict(self) -> None:
        items, table = self._since_mark(), dict[Any, Any]()
        for at in range(0, len(items), 2):
            _store(table, items[at], items[at + 1])
        self._stack.append(table)

    def _frozenset(self) -> None:
        self._since_mark()
        self._stack.append(Inert("builtins.frozenset"))

    _tuple1 = lambda self: self._last(1)  # noqa: E731
    _tuple2 = lambda self: self._last(2)  # noqa: E731
    _tuple3 = lambda self: self._last(3)  # noqa: E731

    def _last(self, count: int) -> None:
        if len(self._stack) < count:
            raise ValueError("a tuple of more than there is")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _append(self) -> None:
        self._extend([self._stack.pop()])

    def _appends(self) -> None:
        self._extend(self._since_mark())

    _additems = _appends

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _setitem(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _store(self._stack[-1], key, value)

    def _setitems(self) -> None:
        items = self._since_mark()
        for at in range(0, len(items), 2):
            _store(self._stack[-1], items[at], items[at + 1])

    def _global(self, both: str) -> None:
        module, _, name = both.partition(" ")
        self._stack.append(_Name(module, name))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no text")
        self._stack.append(_Name(module, name))

    def _reduce(self) -> None:
        arguments = self._stack.pop()
        self._stack[-1] = self._called(self._stack[-1], arguments)

    _newobj = _reduce

    def _newobj_ex(self) -> None:
        self._stack.pop()  # arguments by name
        self._reduce()

    def _inst(self, both: str) -> None:
        arguments = tuple(self._since_mark())
        self._global(both)
        self._stack[-1] = self._called(self._stack[-1], arguments)

    def _obj(self) -> None:
        what, *arguments = self._since_mark()
        self._stack.append(self._called(what, tuple(arguments)))

    def _build(self) -> None:
        """What an object's attributes would be: none of them is needed, but those that old versions made tensors of."""
        state, built = self._stack.pop(), self._stack[-1]
        if isinstance(built, Inert) and isinstance(state, tuple):
            made = self._make(f"{built.name}.__setstate__", state)
            self._stack[-1] = built if made is NotImplemented else made

    def _persid(self, name: str) -> None:
        self._stack.append(self._persistent(name))

    def _binpersid(self) -> None:
        name = self._stack.pop()
        self._stack.append(self._persistent(_by_name(name[:_MOST]) if isinstance(name, tuple) else name))


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Inert("builtins.set"),
}


def _by_name(several: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.path if isinstance(one, _Name) else one for one in several)


def _store(table: Any, key: Any, value: Any) -> None:
    """Into a table; what is no table, and keys that are no numbers and texts, hold nothing of a network."""
    if isinstance(table, dict) and isinstance(key, _KEYS):
        table[key] = value
