#!/usr/bin/env bash
# vs-jetpack 2.2.6 (its package vstools) makes multiprocessing fail in notebooks, REPLs and "python -c": where __main__ has
# no __file__, importing it sets one, made of the name of the outermost frame's code ("<string>", "<stdin>"), to seem a
# script. Processes of the start methods spawn and forkserver (the default on Linux from Python 3.14 on) then look for
# that file and end before their work; without the import they run. Deleting __main__.__file__ after the import cures it.
#
# Seen with vsjetpack 2.2.6 and VapourSynth R81 under Python 3.12. Expected: the same with and without the import. Exits
# with 1 where this has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" # of 3.12 or newer
cd "$work"
venv/bin/pip install --quiet --disable-pip-version-check "vsjetpack==2.2.6" "vapoursynth==81"

cat >child.py <<'PY'
import multiprocessing


def exit_status(method):
    process = multiprocessing.get_context(method).Process(target=print, args=(method, "child ran"))
    process.start()
    process.join()
    return process.exitcode
PY

failed=0
expect() { # what, expected, found
    echo "$1: $3"
    [ "$3" = "$2" ] || { echo "  expected: $2"; failed=1; }
}
run() { # the statements before the process starts, the start method
    venv/bin/python -c "import child
$1
print('status', child.exit_status('$2'))" 2>err | tail -n 1
}
venv/bin/python -c "import vapoursynth; print('VapourSynth', vapoursynth.__version__)"
venv/bin/pip list 2>/dev/null | grep -i '^vsjetpack'
for method in spawn forkserver; do
    expect "$method, without vstools" "status 0" "$(run "" "$method")"
    expect "$method, with vstools" "status 1" "$(run "import vstools" "$method")"
    expect "  its reason" "FileNotFoundError: [Errno 2] No such file or directory: '$work/<string>'" "$(tail -n 1 err)"
    expect "$method, name deleted" "status 0" "$(run "import vstools, __main__; del __main__.__file__" "$method")"
done
expect "__file__ of __main__" "$work/<string>" "$(venv/bin/python -c "import vstools, __main__; print(__main__.__file__)")"
exit "$failed"
