"""LFW and folders of the user's own images: order, classes, modes, and files that are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import assert_keeps_the_contract, noise, save_image, truncate
from PIL import Image

from bench.data.images import ImageOptions, Pictures
from bench.data.sets.image_folder import ImageFolder
from bench.data.sets.lfw import LFW
from bench.data.split import make_split
from bench.errors import InputError, MissingFilesError
from bench.matrix import SplitOptions
from bench.records import Records

PEOPLE = {"Anna_Lee": 3, "Bo": 1, "Carl_de_Wit": 3}


def everything(pictures: Pictures, **options: int) -> Records:
    return pictures.records(ImageOptions(**options), np.arange(len(pictures), dtype=np.int64))


def write_lfw(folder: Path) -> None:
    for seed, (person, count) in enumerate(PEOPLE.items()):
        for i in range(1, count + 1):
            save_image(folder / person / f"{person}_{i:04d}.jpg", noise(25, 25, 3, seed=10 * seed + i))


@pytest.mark.parametrize("place", ["", "lfw", "lfw_funneled", "lfw-py/lfw-deepfunneled", "lfw_home/lfw_funneled"])
def test_lfw_is_found_where_it_is_unpacked(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "data" / place
    write_lfw(folder)
    (folder / "Bo" / "notes.jpg").write_text("not one of the images", "utf-8")
    found = everything(LFW().load(tmp_path))
    assert found.schema.shape == (3, 25, 25)
    assert found.schema.classes == 3
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1, 2, 2, 2]
    with Image.open(folder / "Carl_de_Wit" / "Carl_de_Wit_0002.jpg") as image:
        assert np.array_equal(found.x[5], np.moveaxis(np.asarray(image), -1, 0))
    assert_keeps_the_contract(LFW(), tmp_path)


def test_the_top_people_of_lfw(tmp_path: Path) -> None:
    write_lfw(tmp_path)
    asked = SplitOptions(top_classes=2, members=2, nonmembers=2, reference=1, validation=0, holdout=1)
    split = make_split(LFW(root=".").load(tmp_path), asked, tmp_path)
    assert split.records.ids.tolist() == [0, 1, 2, 4, 5, 6]
    assert split.records.labels is not None
    assert split.records.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_lfw_that_is_not_here(tmp_path: Path) -> None:
    message = rf"lfw: .*in {tmp_path}/data or {tmp_path}/data/lfw\* or .*, found none; .*unpack lfw-funneled.tgz.*https"
    with pytest.raises(MissingFilesError, match=message):
        LFW().load(tmp_path)
    write_lfw(tmp_path / "data" / "lfw")
    write_lfw(tmp_path / "data" / "lfw_funneled")
    with pytest.raises(InputError, match=r"expected one version of the images, got .*lfw_funneled, .*lfw; name one"):
        LFW().load(tmp_path)
    assert len(LFW(root="data/lfw").load(tmp_path)) == 7


# Folders of users.

FORMATS = ("png", "bmp", "tif", "webp", "PNG")


def test_every_lossless_format_gives_its_pixels(tmp_path: Path) -> None:
    for i, ending in enumerate(FORMATS):
        Image.fromarray(noise(6, 7, 3, seed=i)).save(tmp_path / f"{i}.{ending}", lossless=True)
    for i, ending in enumerate(("jpg", "jpeg")):
        save_image(tmp_path / f"{i + 7}.{ending}", noise(6, 7, 3, seed=i))
    found = everything(ImageFolder(path=".").load(tmp_path))
    assert len(found) == 7
    for i in range(len(FORMATS)):
        assert np.array_equal(found.x[i], np.moveaxis(noise(6, 7, 3, seed=i), -1, 0))
    assert found.labels is None
    assert found.schema.classes is None
    assert_keeps_the_contract(ImageFolder(path="."), tmp_path)


def test_folders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    places = ["b/2.png", "b/deep/1.png", "a/9.png", "b/10.png", "c/0.png", ".hidden/0.png", "a/.thumb.png"]
    for seed, place in enumerate(places):
        save_image(tmp_path / "mine" / place, noise(4, 4, seed=seed))
    (tmp_path / "mine" / "a" / "notes.txt").write_text("no image", "utf-8")
    found = everything(ImageFolder(path="mine").load(tmp_path))
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1, 1, 2]
    order = [2, 3, 0, 1, 4]  # a/9, b/10, b/2, b/deep/1, c/0
    assert all(np.array_equal(x[0], noise(4, 4, seed=s)) for x, s in zip(found.x, order, strict=True))
    assert_keeps_the_contract(ImageFolder(path="mine"), tmp_path)
    save_image(tmp_path / "mine" / "stray.png", noise(4, 4))
    with pytest.raises(
        InputError, match=r"every image in a folder of its class, or none, but 1 of 6 .*stray.png first"
    ):
        ImageFolder(path="mine").load(tmp_path)


def test_one_colour_image_makes_all_colour(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", noise(5, 5))
    assert everything(ImageFolder(path=".").load(tmp_path)).schema.shape == (1, 5, 5)
    save_image(tmp_path / "b.png", noise(5, 5, 3))
    transparent = np.dstack([noise(5, 5, 3, seed=1), noise(5, 5, seed=2)])
    save_image(tmp_path / "c.png", transparent)
    Image.fromarray(noise(5, 5, 3, seed=3)).quantize(8).save(tmp_path / "d.png")
    found = everything(ImageFolder(path=".").load(tmp_path))
    assert found.schema.shape == (3, 5, 5)
    assert np.array_equal(found.x[0], np.repeat(noise(5, 5)[None], 3, axis=0))
    assert np.array_equal(found.x[2], np.moveaxis(transparent[..., :3], -1, 0))
    with Image.open(tmp_path / "d.png") as palette:
        assert np.array_equal(found.x[3], np.moveaxis(np.asarray(palette.convert("RGB")), -1, 0))


def test_images_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    for i, shape in enumerate([(4, 6), (8, 8), (5, 3)] * 4):
        save_image(tmp_path / f"{i:02d}.png", noise(*shape, seed=i))
    loaded = ImageFolder(path=".").load(tmp_path)
    all_twelve = SplitOptions(members=2, nonmembers=2, reference=4, validation=1, holdout=3)
    with pytest.raises(InputError, match=r"got 3 sizes \(4 x 6 grey .*00.png; 8 x 8 grey .*01.png; .*set `resize`"):
        make_split(loaded, all_twelve, tmp_path)
    split = make_split(loaded, all_twelve.model_copy(update={"resize": 4}), tmp_path)
    assert split.records.x.shape == (12, 1, 4, 4)


def test_damaged_images_are_all_named(tmp_path: Path) -> None:
    for i in range(6):
        save_image(tmp_path / f"{i}.png", noise(40, 40, 3, seed=i))
    save_image(tmp_path / "6.jpg", noise(40, 40, 3))
    for name in ("1.png", "6.jpg"):
        truncate(tmp_path / name)
    content = bytearray((tmp_path / "3.png").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "3.png").write_bytes(bytes(content))
    with pytest.raises(InputError) as caught:
        everything(ImageFolder(path=".").load(tmp_path))
    assert [Path(problem.split(": ")[0]).name for problem in caught.value.problems] == ["1.png", "3.png", "6.jpg"]
    assert all("expected an image file, but it cannot be decoded" in problem for problem in caught.value.problems)


def test_what_is_no_image_of_8_bits_is_named_at_once(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", noise(4, 4))
    (tmp_path / "b.png").write_text("hello", "utf-8")
    (tmp_path / "c.jpg").write_bytes(b"")
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "d.png")
    with pytest.raises(InputError) as caught:
        ImageFolder(path=".").load(tmp_path)
    b, c, d = caught.value.problems
    assert b.startswith(f"{tmp_path}/b.png: expected an image file, but it cannot be decoded")
    assert c.startswith(f"{tmp_path}/c.jpg: expected an image file")
    assert d.startswith(f"{tmp_path}/d.png: expected 8 bits per channel, got an image of mode I;16")


def test_a_folder_that_is_not_here(tmp_path: Path) -> None:
    message = rf"image_folder: expected images \(png, .*\) in {tmp_path}/mine, found none; put them there"
    with pytest.raises(MissingFilesError, match=message):
        ImageFolder(path="mine").load(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(MissingFilesError, match=message):
        ImageFolder(path="mine").load(tmp_path)


def test_linked_folders_are_not_left_out_in_silence(tmp_path: Path) -> None:
    save_image(tmp_path / "elsewhere" / "a.png", noise(4, 4))
    save_image(tmp_path / "mine" / "a" / "a.png", noise(4, 4))
    (tmp_path / "mine" / "b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"mine: expected folders of images, but \['b'\] are links"):
        ImageFolder(path="mine").load(tmp_path)
