"""The page of comparison: what is in it, and in a real browser what mouse, keyboard and touch do."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Page
from PIL import Image

from sr_plugins.comparison.page import Scene, ShownPicture, comparison_page, write_comparison
from sr_plugins.errors import ArgumentError, ImageError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def plain(name: str, colour: tuple[int, int, int], size: tuple[int, int] = (80, 60)) -> ShownPicture:
    return ShownPicture.of(name, Image.new("RGB", size, colour))


def told(page: str) -> list[dict[str, object]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    scenes: list[dict[str, object]] = json.loads(found[1])
    return scenes


def test_samples_arrive_as_they_were() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    samples[0, :, 3] = 0  # also below what is not seen
    shown = ShownPicture.of("noise", samples, "a note")
    assert (shown.width, shown.height, shown.note) == (7, 9, "7 x 9, a note")
    with Image.open(io.BytesIO(shown.data)) as image:
        assert np.array_equal(np.asarray(image), samples)


def test_names_cannot_leave_their_place() -> None:
    evil = "</script><script>alert(1)</script><!--"
    page = comparison_page([Scene(evil, (plain(evil, RED), plain("b", GREEN)))], evil)
    assert page.count("<script") == 2
    scene = told(page)[0]
    assert scene["title"] == evil
    assert evil not in page


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ArgumentError, match="two pictures or more"):
        comparison_page([Scene("x", (plain("a", RED),))], "x")
    with pytest.raises(ArgumentError, match="nothing to compare"):
        comparison_page([], "x")


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match=r"page\.html cannot be written"):
        write_comparison(tmp_path / "file" / "page.html", [Scene("", (plain("a", RED), plain("b", GREEN)))], "t")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_everything_is_in_the_page() -> None:
    page = comparison_page([Scene("", (plain("a", RED), plain("b", GREEN)))], "t")
    assert not re.findall(
        r"(?:src|href)\s*=|url\(|https?:|@import|fetch\(", page.replace("image.src = picture.data", "")
    )
    pictures = told(page)[0]["pictures"]
    assert isinstance(pictures, list)
    assert all(base64.b64decode(p["data"].partition(",")[2])[:4] == b"RIFF" for p in pictures)


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    half = np.zeros((60, 80, 3), np.uint8)
    half[:, 40:] = 255
    scenes = [
        Scene("colours", (plain("red", RED, (40, 30)), plain("green", GREEN), plain("blue", BLUE))),
        Scene("shapes", (ShownPicture.of("half", half), plain("plain", BLUE))),
    ]
    target = tmp_path_factory.mktemp("page") / "a page.html"
    write_comparison(target, scenes, "<b> & colours")
    return target


@pytest.fixture
def page(page_file: Path, tmp_path: Path) -> Iterator[Page]:
    with Page(page_file.as_uri(), tmp_path) as page:
        ready(page)
        yield page


def ready(page: Page) -> None:
    page.value("Promise.all([...document.querySelectorAll('#stage img')].map(i => i.decode())).then(() => draw())")


def seen(page: Page, x: float, y: float) -> tuple[int, ...]:
    """The colour on the screen."""
    shot = page.call("Page.captureScreenshot", format="png", clip={"x": x, "y": y, "width": 1, "height": 1, "scale": 1})
    with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
        return tuple(np.asarray(image.convert("RGB"))[0, 0].tolist())


def at(page: Page, x: float, y: float = 0.8, selector: str = "#stage") -> tuple[float, float]:
    left, top, width, height = page.box(selector)
    return left + x * width, top + y * height


def lens_colour(page: Page, index: int) -> list[int]:
    found: list[int] = page.value(
        f"(c => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data])"
        f"(document.querySelectorAll('#lens canvas')[{index}])"
    )
    return found[:3]


def test_it_opens_from_disk_and_asks_for_nothing(page: Page, page_file: Path) -> None:
    assert page.value("document.title") == "<b> & colours"
    assert {url.partition(",")[0] for url in page.requests()} <= {page_file.as_uri(), "data:image/webp;base64"}
    assert not [e for e in page.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    with pytest.raises(AssertionError):  # its own policy, and not only good will
        page.value("fetch('https://example.org')")


def test_the_mouse_drags_the_divider(page: Page) -> None:
    assert seen(page, *at(page, 0.4)) == RED
    assert seen(page, *at(page, 0.6)) == GREEN
    page.mouse("mousePressed", *at(page, 0.5), down=True)
    page.mouse("mouseMoved", *at(page, 0.75), down=True)
    page.mouse("mouseReleased", *at(page, 0.75))
    assert seen(page, *at(page, 0.6)) == RED
    assert seen(page, *at(page, 0.9)) == GREEN
    page.mouse("mouseMoved", *at(page, 0.2))  # without a button it stays
    assert seen(page, *at(page, 0.6)) == RED
    assert page.value("line.getAttribute('aria-valuenow')") == "75"


def test_touch_drags_the_divider(page_file: Path, tmp_path: Path) -> None:
    with Page(page_file.as_uri(), tmp_path, (390, 844), touch=True) as page:
        ready(page)
        page.touch("touchStart", at(page, 0.5))
        for x in (0.4, 0.3, 0.25):
            page.touch("touchMove", at(page, x))
        page.touch("touchEnd")
        assert seen(page, *at(page, 0.4)) == GREEN
        assert seen(page, *at(page, 0.1)) == RED
        # readable on a phone: nothing is wider than the screen, no text is small, and a finger finds the buttons
        assert page.value("document.documentElement.scrollWidth") <= 390
        assert page.value("Math.min(...[...document.querySelectorAll('button')].map(b => b.offsetHeight))") >= 35


def test_keys_move_divider_and_lens_and_choose(page: Page) -> None:
    page.value("line.focus()")
    page.key("ArrowLeft", shift=True)
    assert page.value("state.split") == 40
    page.key("End")
    assert seen(page, *at(page, 0.9)) == RED
    page.key("Home")
    page.key("3", "Digit3")
    assert seen(page, *at(page, 0.5)) == BLUE
    page.key("@", "Digit2", shift=True)
    page.key("End")
    assert seen(page, *at(page, 0.3)) == GREEN
    page.value("lens.focus()")
    before = page.value("state.x")
    page.key("ArrowRight")
    assert page.value("state.x") == pytest.approx(before + 5 / 80)
    page.key("+")
    assert page.value("[state.zoom, find('zoom').textContent]") == [8, "8x"]


def test_everything_is_reached_by_tab(page: Page) -> None:
    reached = set()
    for _ in range(12):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.add(page.value("document.activeElement.id || document.activeElement.name"))
    assert reached >= {"scene", "left", "right", "line", "actual", "lens-on", "in", "out", "lens"}


def test_the_lens_shows_every_picture_where_one_points(page: Page) -> None:
    assert page.value("[...document.querySelectorAll('figcaption')].map(e => e.firstChild.textContent)") == [
        "red", "green", "blue"]  # fmt: skip
    assert [lens_colour(page, i) for i in range(3)] == [list(RED), list(GREEN), list(BLUE)]
    page.value("open(1)")
    ready(page)
    page.mouse("mouseMoved", *at(page, 0.25))
    assert lens_colour(page, 0) == [0, 0, 0]
    page.mouse("mouseMoved", *at(page, 0.75))
    assert lens_colour(page, 0) == [255, 255, 255]
    page.value("find('lens-on').click()")
    assert page.value("[lens.hidden, aimed.hidden]") == [True, True]


def test_actual_size_is_one_pixel_for_one(page: Page) -> None:
    page.value("find('actual').click()")
    assert page.box("#stage")[2:] == (80, 60)


def test_the_name_on_each_side_says_what_is_seen(page: Page) -> None:
    assert page.value("[find('left').textContent, find('right').textContent]") == ["red", "green"]
    page.value("document.querySelector('input[name=left][value=\"2\"]').click()")
    assert page.value("[find('left').textContent, find('right').textContent]") == ["blue", "green"]
    assert seen(page, *at(page, 0.3)) == BLUE
