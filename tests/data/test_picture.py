"""From pictures of all kinds to 28 × 28 pixels."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_bench import data, parity, store, training
from mnist_bench.core import child
from mnist_bench.core.errors import BadInput
from mnist_bench.core.events import ignore
from mnist_bench.core.limits import PICTURE_BYTES
from mnist_bench.core.types import TrainConfig
from mnist_bench.data._pictures import CHUNK, serve
from mnist_bench.data._preparing import fitted, ink_of, is_prepared
from tests.conftest import MNIST_ROOT, StopAfter
from tests.data.pictures import claiming, drawing, encoded, of_pixels
from tests.formats.test_web import from_picture, needs_node

Pixels = NDArray[np.uint8]


def prepared(picture: Image.Image, kind: str = "PNG", **options: Any) -> Pixels:
    return data.picture(encoded(picture, kind, **options), "it").pixels


def about(picture: Image.Image, kind: str = "PNG", **options: Any) -> str:
    return "; ".join(data.picture(encoded(picture, kind, **options), "it").about)


@pytest.fixture(scope="module")
def expected() -> Pixels:
    """What becomes of a white L on black, 80 × 140: 11 × 20 pixels."""
    return prepared(drawing("white", "black"))


def cut(pixels: Pixels) -> Pixels:
    """Cut out what is inked: by how much of it there is, the same may lie a pixel elsewhere."""
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def box(pixels: Pixels) -> tuple[int, ...]:
    return cut(pixels).shape


def alike(found: NDArray[Any], expected: NDArray[Any], most: int = 30) -> bool:
    """Tell whether two images differ by rounding, or by what a lossy format does, alone."""
    return found.shape == expected.shape and int(np.abs(found.astype(int) - expected).max()) <= most


def test_a_drawing_is_fitted_and_centred_by_mass(expected: Pixels) -> None:
    assert expected.dtype == np.uint8
    assert (*expected.shape, expected.max()) == (28, 28, 255)
    assert box(expected) == (20, 11)
    rows, columns = np.indices(expected.shape)
    centre = [float((axis * (expected / expected.sum())).sum()) for axis in (rows, columns)]
    assert np.abs(np.array(centre) - 14).max() <= 0.5 + 1e-9
    assert expected[:, :14].sum() > expected[:, 14:].sum()  # neither turned nor mirrored
    assert expected[14:].sum() > expected[:14].sum()


@pytest.mark.parametrize(
    ("ink", "ground", "inverted"),
    [
        ("black", "white", True),
        ("white", "black", False),
        ("#000000", "#787878", True),  # darker than its ground, which is dark itself
        ("#ffffff", "#828282", False),
        ("#0000ff", "#ffff00", True),
    ],
)
def test_light_and_dark_grounds_give_the_same(ink: str, ground: str, inverted: bool, expected: Pixels) -> None:
    np.testing.assert_array_equal(prepared(drawing(ink, ground)), expected)
    assert ("inverted, since its ground is light" in about(drawing(ink, ground))) is inverted


@pytest.mark.parametrize("at", [-29, 0, 29])
def test_where_it_was_drawn_does_not_matter(at: int, expected: Pixels) -> None:
    np.testing.assert_array_equal(prepared(drawing(at=at)), expected)


def test_nor_does_how_large_it_is(expected: Pixels) -> None:
    huge = drawing().resize((3000, 3000), Image.Resampling.NEAREST)
    assert alike(prepared(huge), expected, most=40)  # its edges fall into the midst of what is averaged
    assert about(huge).startswith("3,000 × 3,000 PNG; ")
    tiny = Image.new("L", (3, 3), 255)
    tiny.paste(0, (1, 0, 2, 3))
    assert box(prepared(tiny)) == (20, 7)
    line = Image.new("L", (9000, 200), 255)
    line.paste(0, (100, 100, 8900, 110))
    assert box(prepared(line)) == (1, 20)


STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that was held so stores what is upright."""


def held(orientation: int) -> tuple[Image.Image, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return drawing().transpose(STORED[orientation]), exif


@pytest.mark.parametrize("orientation", STORED)
def test_a_camera_that_was_turned(orientation: int, expected: Pixels) -> None:
    picture, exif = held(orientation)
    np.testing.assert_array_equal(prepared(picture, exif=exif), expected)
    assert "turned as its EXIF says" in about(picture, exif=exif)
    assert not alike(prepared(picture), expected)  # without its EXIF


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_camera_that_was_turned_in_other_formats(kind: str, expected: Pixels) -> None:
    picture, exif = held(6)
    assert alike(prepared(picture, kind, exif=exif, quality=95), expected)
    assert "; turned as" in about(picture, kind, exif=exif)


CLEAR = (0, 0, 0, 0)


@pytest.mark.parametrize("ink", ["black", "white", "red"])
@pytest.mark.parametrize("clear", [CLEAR, (255, 255, 255, 0)])
def test_what_is_drawn_in_alpha_alone(ink: str, clear: tuple[int, ...], expected: Pixels) -> None:
    picture = drawing(ink, clear, "RGBA")
    np.testing.assert_array_equal(prepared(picture), expected)
    assert "drawn in what is not transparent" in about(picture)
    assert "inverted" not in about(picture)


@pytest.mark.parametrize(
    ("ink", "second", "inverted"), [("black", "#404060", True), ("white", "#ffff60", False)], ids=["dark", "light"]
)
def test_what_is_transparent_is_white_below_dark_strokes_and_black_below_light_ones(
    ink: str, second: str, inverted: bool, expected: Pixels
) -> None:
    picture = drawing(ink, CLEAR, "RGBA", second)
    assert alike(cut(prepared(picture)) > 100, cut(expected) > 100, most=0)
    assert ("inverted" in about(picture)) is inverted


@pytest.mark.parametrize(("ink", "ground"), [("black", "white"), ("white", "black")])
def test_transparent_corners_are_of_the_ground(ink: str, ground: str, expected: Pixels) -> None:
    picture = drawing(ink, ground, "RGBA")
    for corner in ((0, 0, 20, 20), (180, 0, 200, 20), (0, 180, 20, 200), (180, 180, 200, 200)):
        picture.paste(CLEAR, corner)
    np.testing.assert_array_equal(prepared(picture), expected)


def test_16_bits_a_pixel_are_not_cut_off(expected: Pixels) -> None:
    pixels = np.where(np.asarray(drawing().convert("L")) > 0, 65_535, 20_000).astype(np.uint16)
    np.testing.assert_array_equal(data.picture(of_pixels(pixels), "it").pixels, expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_pixels_of_all_kinds(mode: str, expected: Pixels) -> None:
    np.testing.assert_array_equal(prepared(drawing().convert(mode)), expected)


def test_a_palette_with_a_transparent_colour(expected: Pixels) -> None:
    picture = drawing("#ff0000", "#ff0000", "RGB").quantize(2)
    picture.putdata([1 if one else 0 for one in np.asarray(drawing().convert("L")).ravel().tolist()])
    picture.putpalette([0, 0, 0, 250, 250, 250])
    found = data.picture(encoded(picture, transparency=1), "it")
    np.testing.assert_array_equal(found.pixels, expected)
    assert "drawn in what is not transparent" in found.about


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(mode: str, expected: Pixels) -> None:
    assert alike(prepared(drawing().convert(mode), "JPEG", quality=95), expected)


@pytest.mark.parametrize("lossless", [True, False])
def test_webp(lossless: bool, expected: Pixels) -> None:
    assert alike(prepared(drawing(), "WEBP", lossless=lossless), expected, most=1 if lossless else 30)
    assert about(drawing(), "WEBP").startswith("200 × 200 WebP; ")


def test_of_what_moves_the_first_frame_counts(expected: Pixels) -> None:
    options = {"save_all": True, "append_images": [drawing().rotate(180), drawing().rotate(90)], "lossless": True}
    assert alike(prepared(drawing(), "WEBP", **options), expected, most=1)
    assert "the first of its 3 frames" in about(drawing(), "WEBP", **options)


def test_a_pale_photograph_of_uneven_paper(expected: Pixels) -> None:
    """Noise, and a shadow over one half of it: neither is ink."""
    ink = np.asarray(drawing().convert("L")) == 0
    shadow = np.where(np.arange(200) < 100, 0, 12)
    noise = np.random.default_rng(0).normal(0, 3, (200, 200))
    pixels = np.clip(np.where(ink, 90, 190) + shadow + noise, 0, 255).astype(np.uint8)
    found = data.picture(of_pixels(pixels), "it")
    assert box(found.pixels) == box(expected)
    assert alike(cut(found.pixels), cut(expected), most=80)
    assert any(step.startswith("contrast raised from 4") for step in found.about)


def test_a_ground_that_is_named_decides_what_ink_is() -> None:
    picture = Image.new("L", (100, 100), 128)
    pen = ImageDraw.Draw(picture)
    pen.rectangle([20, 10, 29, 89], fill=255)
    pen.rectangle([60, 45, 99, 54], fill=0)
    content = encoded(picture)
    assert box(data.picture(content, "it", "dark").pixels)[0] == 20
    assert box(data.picture(content, "it", "light").pixels)[1] == 20


@pytest.mark.parametrize("picture", [Image.new("RGB", (50, 50), "white"), Image.new("RGBA", (50, 50), CLEAR)])
def test_where_nothing_is_drawn(picture: Image.Image) -> None:
    with pytest.raises(BadInput, match=r"^it has only one colour, or nearly so: there is nothing drawn on it$"):
        prepared(picture)


@pytest.mark.parametrize("side", [60, 600])
def test_faint_noise_and_a_shadow_are_nothing_drawn(side: int) -> None:
    noise = np.random.default_rng(0).integers(120, 132, (side, side))
    pixels = (noise + np.linspace(0, 25, side)).astype(np.uint8)
    with pytest.raises(BadInput, match="nothing drawn on it"):
        data.picture(of_pixels(pixels), "it")


def test_light_from_one_side_is_no_ink(expected: Pixels) -> None:
    ink = np.asarray(drawing().convert("L")) == 0
    light = np.linspace(-35, 35, 200) + np.linspace(-15, 15, 200)[:, None]
    found = data.picture(of_pixels((np.where(ink, 60, 190) + light).astype(np.uint8)), "it")
    assert box(found.pixels) == box(expected)
    assert alike(cut(found.pixels), cut(expected))


def test_a_side_that_is_inked_says_nothing_of_the_light(expected: Pixels) -> None:
    """Cut so close that its back is the border."""
    assert alike(cut(prepared(drawing().crop((60, 20, 150, 180)))), cut(expected), most=1)


def test_what_is_small_on_a_large_sheet_keeps_its_strokes(expected: Pixels) -> None:
    sheet = Image.new("L", (2000, 1500), "white")
    sheet.paste(drawing().convert("L"), (1700, 1200))
    assert alike(prepared(sheet), expected, most=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_breaks_off_is_damaged(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    content = encoded(noise, kind)
    for kept in (40, len(content) // 2, len(content) - 200):
        with pytest.raises(BadInput, match=r"^it is damaged and cannot be decoded \(|^it is not a PNG, JPEG or WebP"):
            data.picture(content[:kept], "it")
    with pytest.raises(BadInput, match=r"^it is damaged"):
        data.picture(content[: len(content) // 2], "it")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_whatever_is_changed_in_a_file_it_is_a_picture_or_bad_input(kind: str) -> None:
    exif = held(6)[1]
    picture = drawing("#204060", "white") if kind == "JPEG" else drawing("#204060", CLEAR, "RGBA")
    content = encoded(picture, kind, exif=exif)
    for seed in range(150):
        random = np.random.default_rng(seed)
        changed = np.frombuffer(content, np.uint8).copy()
        places = random.integers(0, min(len(content), 600), 1 + seed % 8)
        changed[places] = random.integers(0, 256, len(places))
        try:
            assert data.picture(changed.tobytes(), "it").pixels.shape == (28, 28)
        except BadInput as error:
            assert str(error).startswith("it ")  # noqa: PT017 either is right


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8 "])
def test_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(BadInput, match=r"^it is (not a PNG, JPEG or WebP|damaged)"):
        data.picture(content, "it")


def test_other_formats_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^it is not a PNG, JPEG or WebP picture: save it as one of these$"):
        data.picture(encoded(drawing(), "GIF"), "it")


@pytest.mark.parametrize(("width", "height"), [(10_000, 8_000), (10_000, 10_000), (100_000, 100_000), (2**31 - 1, 1)])
def test_what_would_unpack_to_gigabytes_is_refused_before(width: int, height: int) -> None:
    with pytest.raises(BadInput, match=r"^it has .*67,108,864.*: make it smaller$"):
        data.picture(claiming(width, height), "it")


# What is one of MNIST's already


def placed(row: int, column: int) -> Pixels:
    """A cross of 9 × 9 in 28 × 28."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[row + 4, column : column + 9] = pixels[row : row + 9, column + 4] = 255
    return pixels


def test_what_lies_as_mnist_s_do_is_taken_as_it_is() -> None:
    found = data.picture(of_pixels(placed(10, 10)), "it")
    np.testing.assert_array_equal(found.pixels, placed(10, 10))
    assert found.about == ("28 × 28 PNG", "taken as it is")


@pytest.mark.parametrize(
    "pixels",
    [
        placed(0, 10),
        placed(10, 18),
        255 - placed(10, 10),
        placed(10, 10) // 2,
        np.kron(placed(10, 10), np.ones((2, 2))),
    ],
    ids=["too high", "too far right", "light ground", "pale", "twice as large"],
)
def test_what_does_not_is_prepared(pixels: Any) -> None:
    found = data.picture(of_pixels(pixels.astype(np.uint8)), "it")
    assert found.about[-1] == "fitted into 20 × 20, centred by mass"
    assert box(found.pixels) == (20, 20)


def test_as_is_takes_any_28_by_28_and_nothing_else() -> None:
    found = data.picture(of_pixels(placed(0, 10)), "it", as_is=True)
    np.testing.assert_array_equal(found.pixels, placed(0, 10))
    with pytest.raises(BadInput, match=r"^it has 200 × 200 pixels: only 28 × 28 can be taken as they are$"):
        data.picture(encoded(drawing()), "it", as_is=True)


@pytest.mark.mnist
def test_mnist_s_own_images_are_taken_as_they_are(mnist_root: Path) -> None:
    dataset = data.load("mnist", mnist_root)
    for images in (dataset.train, dataset.test):
        assert sum(map(is_prepared, images.pixels)) == len(images)


@pytest.mark.mnist
def test_preparing_mnist_s_own_images_leaves_nearly_all_as_they_are(mnist_root: Path) -> None:
    images = data.load("mnist", mnist_root).test.pixels
    same = [bool((fitted(image) == image).all()) for image in images]
    assert np.mean(same) >= 0.999


def sheet(image: Pixels, random: np.random.Generator) -> bytes:
    """A digit, enlarged ten times, dark on white A4 at 72 dots an inch, wherever it falls."""
    page = Image.new("L", (595, 842), "white")
    large = Image.fromarray(255 - image).resize((280, 280), Image.Resampling.LANCZOS)
    page.paste(large, (int(random.integers(315)), int(random.integers(562))))
    return encoded(page, compress_level=1)


def photograph(image: Pixels, random: np.random.Generator) -> bytes:
    """The same in half the contrast, lit from one side, with the noise of a camera, as a JPEG."""
    page = np.asarray(Image.open(io.BytesIO(sheet(image, random))), dtype=np.float64)
    seen = 90 + page / 2 + np.linspace(-20, 20, page.shape[1]) + random.normal(0, 6, page.shape)
    return encoded(Image.fromarray(seen.clip(0, 255).astype(np.uint8)), "JPEG")


@pytest.fixture(scope="module")
def of_mnist(tmp_path_factory: pytest.TempPathFactory) -> tuple[data.Dataset, parity.Weights]:
    """MNIST, and a network that has learnt it."""
    dataset, folder = data.load("mnist", MNIST_ROOT), tmp_path_factory.mktemp("mnist")
    done = training.train(
        training.new_record("it", TrainConfig(epochs=2), dataset), dataset, folder, ignore, StopAfter()
    )
    assert done.checkpoint
    return dataset, parity.Weights.of(store.load_weights(folder, done.checkpoint.weights), "relu")


@pytest.mark.mnist
@pytest.mark.parametrize("made", [sheet, photograph])
def test_mnist_s_digits_on_paper_are_read_as_they_were(
    made: Callable[[Pixels, np.random.Generator], bytes], of_mnist: tuple[data.Dataset, parity.Weights]
) -> None:
    """After 15 epochs 199 of 200 were, on sheets and on photographs."""
    (dataset, weights), random = of_mnist, np.random.default_rng(0)
    images = dataset.test.pixels[:200]
    found = np.stack([data.picture(made(image, random), "it").pixels for image in images])
    was, now = (parity.certify(weights, data.to_input(pixels)).predictions for pixels in (images, found))
    assert (was == now).mean() >= 0.95
    assert (data.nearest(found, dataset.train).distances < data.usual_distance(dataset)).mean() >= 0.99


# The same in the browser


def scenes() -> dict[str, Image.Image]:
    """Pictures of every kind that is told apart."""
    noise = np.random.default_rng(0).normal(0, 4, (90, 70))
    grey = np.asarray(drawing().convert("L").crop((50, 20, 150, 180)).resize((70, 90)), dtype=np.float64)
    corners = drawing("white", "black", "RGBA")
    corners.paste(CLEAR, (0, 0, 30, 30))
    shaded = drawing("black", CLEAR, "RGBA", "#505050")
    shaded.putalpha(Image.fromarray(np.asarray(shaded)[..., 3] // 2 + np.arange(200, dtype=np.uint8)[:, None] // 4))
    return {
        "dark": drawing(),
        "photograph": Image.fromarray(np.clip(100 + grey / 3 + noise, 0, 255).astype(np.uint8)),
        "alpha": drawing("white", CLEAR, "RGBA"),
        "light strokes": drawing("white", CLEAR, "RGBA", "#ffff60"),
        "dark strokes": drawing("black", CLEAR, "RGBA", "#404060"),
        "corners": corners,
        "half transparent": shaded,
        "tiny": Image.fromarray(np.array([[255, 0, 255], [255, 9, 255], [255, 0, 255]], np.uint8)),
        "thin": drawing().resize((17, 200)),
        "empty": Image.new("RGB", (30, 20), "red"),
    }


@needs_node
@pytest.mark.parametrize("name", scenes())
def test_the_page_makes_the_same_of_it(name: str, tmp_path: Path) -> None:
    picture = scenes()[name]
    theirs, inverted = from_picture(tmp_path, picture)
    try:
        ours = data.picture(encoded(picture), "it")
    except BadInput:
        assert not theirs.any()
        return
    assert alike(theirs, ours.pixels, most=1)
    assert any("inverted" in step for step in ours.about) is inverted


@needs_node
def test_the_page_makes_the_same_of_digits(digits: data.Dataset, tmp_path: Path) -> None:
    sheet = digits.test.pixels[:25]
    for pixels in sheet[::5]:
        picture = Image.fromarray(np.pad(pixels, 9))
        theirs, _ = from_picture(tmp_path, picture)
        assert alike(theirs, prepared(picture), most=1)


# Reading files


def sources(*paths: Path) -> list[data.Source]:
    return [data.Source(name=path.name, path=str(path.absolute())) for path in paths]


def test_files_are_read_in_a_process_of_their_own(tmp_path: Path, expected: Pixels) -> None:
    good, bad, large, folder = (tmp_path / name for name in ("\udcffgood.png", "bad.png", "large.png", "folder.png"))
    good.write_bytes(encoded(drawing()))
    bad.write_bytes(b"no picture")
    folder.mkdir()
    large.touch()
    os.truncate(large, PICTURE_BYTES + 1)
    of_memory = data.Source(name="stdin", content=encoded(drawing("white", "black")))
    found = data.read_pictures([*sources(good, bad, large, folder, tmp_path / "\x1b[31mgone.png"), of_memory])
    assert [type(one) for one in found] == [data.Picture, *[data.Unreadable] * 4, data.Picture]
    for one in (found[0], found[-1]):
        assert isinstance(one, data.Picture)
        np.testing.assert_array_equal(one.pixels, expected)
    reasons = [one.reason for one in found if isinstance(one, data.Unreadable)]
    assert reasons == [
        "bad.png is not a PNG, JPEG or WebP picture: save it as one of these",
        "large.png cannot be read: it is larger than 64 MiB",
        "folder.png cannot be read: Is a directory",
        "\ufffd[31mgone.png cannot be read: No such file or directory",
    ]


def test_a_decoder_that_dies_takes_one_picture_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def call(_function: str, reading: Any, _type: Any, **_limits: Any) -> Any:
        calls.append(len(reading.sources))
        if any(source.name == "deadly" for source in reading.sources):
            raise child.ChildFailed("it was killed by SIGSEGV", 2)
        return serve(reading)

    monkeypatch.setattr(child, "call", call)
    content = encoded(drawing())
    names = [f"picture {place}" if place != 5 else "deadly" for place in range(CHUNK + 3)]
    found = data.read_pictures([data.Source(name=name, content=content) for name in names])
    lost = [place for place, one in enumerate(found) if isinstance(one, data.Unreadable)]
    assert lost == [5]
    assert found[5] == data.Unreadable(reason="deadly cannot be decoded: it was killed by SIGSEGV")
    assert (calls[0], calls[-1], max(calls)) == (CHUNK, 3, CHUNK)
    assert len(calls) <= 2 + 2 * 5


# In pieces


def test_ink_is_on_the_side_where_there_is_more_of_it() -> None:
    light = np.full((10, 10), 100, np.uint8)
    light[3:7, 4] = 200
    light[8, 8] = 40
    found = ink_of(light)
    assert (found.inverted, found.contrast) == (False, 100)
    assert found.pixels.sum() == 4 * 255
    light[1:9, 7:9] = 40
    assert ink_of(light).inverted


def test_a_thin_stroke_is_as_dark_as_mnist_s() -> None:
    thin = np.zeros((280, 280), np.uint8)
    thin[np.arange(20, 260), np.arange(20, 260)] = 255
    found = fitted(thin)
    assert found is not None
    assert found.max() == 255
    assert np.count_nonzero(found > 100) >= 20
