"""What an audit says of copies, quality, shortcuts and balance; and that what it links is never split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from PIL import ImageFilter

from conftest import CLASSES, QUICK
from copied_photos import COPIES, saved, scene
from kopal.audit import KINDS, MEANING, Audit, Finding
from kopal.audit.copies import twin_findings
from kopal.audit.leaks import leaked, without_twins
from kopal.audit.quality import quality_findings
from kopal.audit.shortcuts import FAR, one_rule, shortcut_findings
from kopal.audit.twins import Twins
from kopal.audit.whole import audit
from kopal.datasets import Part, open_dataset
from kopal.fit.lesson import carved
from kopal.fit.probe import make_folds
from kopal.fit.world import ALONE
from kopal.ledger import LedgerRow
from kopal.log import silent
from kopal.looks import LOOK, Looks
from kopal.pixels import PixelPhotos
from kopal.recipes import recipe
from kopal.splits import folds, linked
from kopal.ways import Circumstances, features_of, from_pixels


@dataclass(frozen=True)
class Set:
    """Photos without pixels."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    parts: np.ndarray
    digests: tuple[bytes, ...]
    groups: np.ndarray
    looks: Looks | None = None

    def where(self, part: Part) -> np.ndarray:
        return self.parts == part


def some(labels: list[int], parts: list[str] | None = None, looks: Looks | None = None) -> Set:
    count = len(labels)
    return Set(
        ("cat", "dog", "elk"),
        tuple(f"{place}.jpg" for place in range(count)),
        np.array(labels, np.int64),
        np.array(parts or ["train"] * count),
        tuple(bytes([place // 256, place % 256]) * 16 for place in range(count)),
        np.arange(count),
        looks,
    )


def linked_by(photos: Set, pairs: list[tuple[int, int]], crowds: tuple[np.ndarray, ...] = ()) -> Twins:
    count = len(photos.names)
    return Twins(
        np.array(pairs, np.int64).reshape(-1, 2),
        np.full(len(pairs), 0.9, np.float32),
        linked(count, pairs),
        crowds,
        0.7,
    )


def said(findings: object) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(found.kind, found.file, found.others) for found in findings]  # type: ignore[attr-defined]


def plain_looks(count: int) -> Looks:
    rows = np.zeros(count, LOOK)
    rng = np.random.default_rng(0)
    rows["thumbnail"] = rng.integers(0, 256, (count, 32, 32))
    rows["spread"] = 60
    rows["sharpness"] = np.exp(rng.normal(0, 0.3, count))
    rows["width"], rows["height"], rows["bytes"] = 640, 480, rng.integers(10_000, 90_000, count)
    rows["mode"], rows["format"] = b"RGB", b"JPEG"
    rows["colour"] = rng.uniform(0, 90, count)
    return rows


def test_a_copy_in_its_class_is_named_once_and_the_same_file_as_such() -> None:
    photos = some([0, 0, 0, 1])
    photos = replace(photos, digests=(photos.digests[0], photos.digests[1], photos.digests[0], photos.digests[3]))
    found = list(twin_findings(photos, linked_by(photos, [(0, 1), (0, 2)])))
    assert said(found) == [
        ("near-duplicate", "1.jpg", ("0.jpg", "2.jpg")),
        ("duplicate", "2.jpg", ("0.jpg", "1.jpg")),
    ]


def test_copies_in_two_classes_are_a_conflict_for_each_of_them() -> None:
    photos = some([0, 1, 2, 2])
    found = list(twin_findings(photos, linked_by(photos, [(0, 1)])))
    assert said(found) == [("label conflict", "0.jpg", ("1.jpg",)), ("label conflict", "1.jpg", ("0.jpg",))]
    assert "it stands in cat, its twin in dog" in found[0].why


def test_a_copy_across_parts_leaks_and_is_no_mere_duplicate() -> None:
    photos = some([0, 0, 0, 1], ["train", "test", "calibration", "test"])
    found = list(twin_findings(photos, linked_by(photos, [(0, 1), (0, 2)])))
    assert said(found) == [("leak", "1.jpg", ("0.jpg",)), ("leak", "2.jpg", ("0.jpg",))]
    assert {finding.action for finding in found} == {"leave out"}


def test_a_leak_with_another_label_is_both() -> None:
    photos = some([0, 1], ["train", "test"])
    kinds = [kind for kind, _, _ in said(twin_findings(photos, linked_by(photos, [(0, 1)])))]
    assert sorted(kinds) == ["label conflict", "label conflict", "leak"]


def test_a_crowd_is_said_and_named_in_part() -> None:
    photos = some([0] * 40)
    [found] = twin_findings(photos, linked_by(photos, [], (np.arange(30),)))
    assert found.kind == "alike" and len(found.others) == 6
    assert "30 photos (75%)" in found.why


def test_the_accuracy_without_twins_is_that_of_the_rest() -> None:
    photos = some([0, 0, 1, 1, 0], ["train", "test", "test", "test", "test"])
    photos = replace(photos, groups=np.array([0, 0, 2, 3, 4]))
    scores = np.eye(3, dtype=np.float32)[[0, 0, 1, 0, 0]]
    assert leaked(photos).tolist() == [False, True, False, False, False]
    found = without_twins(photos, scores)
    assert found is not None
    assert (found.twins, found.n, found.accuracy) == (1, 3, 2 / 3)
    assert without_twins(replace(photos, groups=np.arange(5)), scores) is None
    all_leak = without_twins(replace(photos, groups=np.zeros(5, np.int64)), scores)
    assert all_leak is not None and all_leak.n == 0 and all_leak.as_json()["accuracy"] is None


def test_photos_of_nothing_are_named_for_what_they_are() -> None:
    looks = plain_looks(20)
    for place, grey in enumerate((0, 255, 120)):
        looks["thumbnail"][place], looks["spread"][place] = grey, 1
    found = said(quality_findings([f"{place}" for place in range(20)], looks))
    assert found == [("black", "0", ()), ("white", "1", ()), ("near-empty", "2", ())]


def test_what_is_blurred_tiny_or_odd_is_so_beside_the_others() -> None:
    looks = plain_looks(50)
    looks["sharpness"][7] = 0.01
    looks["width"][8], looks["height"][8] = 40, 30
    looks["width"][9], looks["height"][9] = 2000, 300
    found = list(quality_findings([f"{place}" for place in range(50)], looks))
    assert {(finding.kind, finding.file) for finding in found} == {("blurred", "7"), ("tiny", "8"), ("odd-shaped", "9")}
    same = plain_looks(50)
    same["width"], same["height"] = 40, 8
    assert not list(quality_findings([""] * 50, same)), "a whole set of small strips is no oddity"


def test_a_photo_that_is_really_blurred_is_found_among_sharp_ones() -> None:
    from test_looks import look_of

    pictures = [scene(seed) for seed in range(30)]
    pictures[4] = pictures[4].filter(ImageFilter.GaussianBlur(6))
    rows = np.array([look_of(saved(picture)) for picture in pictures], LOOK)
    found = list(quality_findings([str(place) for place in range(30)], rows))
    assert [(finding.kind, finding.file) for finding in found] == [("blurred", "4")]


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("size in bytes", lambda looks, labels, rng: looks["bytes"].__setitem__(slice(None), 1000 * (labels + 1))),
        ("aspect ratio", lambda looks, labels, rng: looks["width"].__setitem__(slice(None), 300 + 90 * labels)),
        ("format", lambda looks, labels, rng: looks["format"].__setitem__(labels == 1, b"PNG")),
        ("camera", lambda looks, labels, rng: looks["camera"].__setitem__(labels == 2, b"Maker One")),
        ("day", lambda looks, labels, rng: looks["day"].__setitem__(labels == 0, b"2023:05:14")),
        ("colour mode", lambda looks, labels, rng: looks["mode"].__setitem__(labels == 0, b"L")),
    ],
)
def test_a_property_that_tells_the_class_is_found_with_its_numbers(name: str, plant: object) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 240)
    looks = plain_looks(240)
    plant(looks, labels, rng)  # type: ignore[operator]
    found = list(shortcut_findings(some(labels.tolist(), looks=looks), looks))
    assert len(found) >= 1
    assert any(name in finding.why for finding in found)
    assert all("of 240 photos, cross-validated" in finding.why and finding.score >= FAR for finding in found)


def test_no_shortcut_is_seen_where_there_is_none() -> None:
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 3, 120)
        assert not list(shortcut_findings(some(labels.tolist()), plain_looks(120)))


def test_a_property_of_its_own_for_every_photo_tells_nothing_of_another() -> None:
    """Learned on the photos that are asked, such a property would name every class."""
    labels = np.random.default_rng(0).integers(0, 3, 200)
    unique = np.arange(200)
    fold = folds(labels, range(200), 5, 0)
    assert one_rule(unique, labels, fold).mean() < 0.5
    table_of_itself = one_rule(unique, labels, np.zeros(200, np.int64) - 1)
    assert not table_of_itself.any(), "no fold, no answer"


def test_twins_do_not_help_a_property_to_tell_the_class() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 200)
    labels = np.concatenate([labels, labels])
    size = np.tile(np.random.default_rng(1).permutation(200).astype(float), 2)
    groups = np.tile(np.arange(200), 2)
    together = one_rule(size.astype(np.int64), labels, folds(labels, groups.tolist(), 5, 0)).mean()
    apart = one_rule(size.astype(np.int64), labels, folds(labels, range(400), 5, 0)).mean()
    assert together < 0.5 < apart


def test_bad_files_and_small_classes_are_findings_and_the_worst_kinds_come_first() -> None:
    photos = some([0] * 30 + [1] * 3 + [2] * 30)
    rows = (LedgerRow("a", "cat", "", "truncated", "ends early"), LedgerRow("b", "cat", "", "empty", "0 bytes"))
    found, groups = audit(photos, rows)
    assert list(found.counts()) == ["unreadable", "truncated", "imbalance"]
    assert groups.tolist() == list(range(63))
    more = found.plus([Finding("leak", "c", (), 0.5, "", "leave out"), Finding("leak", "d", (), 0.9, "", "leave out")])
    assert [finding.file for finding in more.of("leak")] == ["d", "c"]
    assert next(iter(more.counts())) == "leak"
    assert more.as_json()["counts"] == {"leak": 2, "unreadable": 1, "truncated": 1, "imbalance": 1}
    assert set(MEANING) == set(KINDS)
    assert not Audit(0).counts()


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 24 scenes, half of them with a copy of some kind beside them."""
    root = tmp_path_factory.mktemp("copied") / "photos"
    for kind, name in enumerate(CLASSES[:2]):
        (root / name).mkdir(parents=True)
        for number in range(24):
            image = scene(100 * kind + number)
            (root / name / f"{number:02}.jpg").write_bytes(saved(image))
            if number % 2:
                change = list(COPIES.values())[number // 2 % len(COPIES)]
                (root / name / f"{number:02}-again.jpg").write_bytes(change(image, number))
    return root


def test_no_pair_of_copies_crosses_a_fold(copied: Path) -> None:
    made = Circumstances(ALONE, perf_counter(), cache=True)
    _, photos, _, found = features_of(QUICK, open_dataset(copied), made, silent)
    place = {name: index for index, name in enumerate(photos.names)}
    planted = [(place[name], place[name.replace("-again", "")]) for name in photos.names if "-again" in name]
    assert len(planted) == 24
    assert sum(photos.groups[one] == photos.groups[two] for one, two in planted) >= 23
    assert len(found.of("near-duplicate")) >= 23
    for seed in range(3):
        fold = make_folds(photos.labels, photos.groups, replace(QUICK, seed=seed))
        crossing = [pair for pair in planted if fold[pair[0]] != fold[pair[1]]]
        assert all(photos.groups[one] != photos.groups[two] for one, two in crossing)
        by_file_alone = make_folds(photos.labels, range(len(photos)), replace(QUICK, seed=seed))
        assert any(by_file_alone[one] != by_file_alone[two] for one, two in planted), "else this test says nothing"


def test_no_pair_of_copies_crosses_the_parts_of_a_net_from_pixels(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PixelPhotos] = []

    class Enough(Exception):
        pass

    def stop(recipe: object, photos: PixelPhotos, *_: object) -> None:
        seen.append(photos)
        raise Enough

    monkeypatch.setattr("kopal.fit.scratch.learn", stop)
    made = recipe(net="linear", image_size=32, epochs=1)
    with pytest.raises(Enough):
        from_pixels(made, open_dataset(copied), Circumstances(ALONE, perf_counter(), cache=False), silent)
    [photos] = seen
    place = {name: index for index, name in enumerate(photos.names)}
    planted = [(place[name], place[name.replace("-again", "")]) for name in photos.names if "-again" in name]
    kept = [pair for pair in planted if photos.groups[pair[0]] == photos.groups[pair[1]]]
    assert len(kept) >= 22
    assert all(photos.parts[one] == photos.parts[two] for one, two in kept)
    learning, validation = (set(part.rows.tolist()) for part in carved(made, photos))
    assert not [pair for pair in kept if {*pair} & learning and {*pair} & validation]
    assert set(photos.parts.tolist()) == {"train", "calibration", "test"}
