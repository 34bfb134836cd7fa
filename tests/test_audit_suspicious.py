"""Labels that the others speak against, and photos like no others, as findings of an audit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from conftest import CLASSES, QUICK, draw, make_photos
from kopal.audit import suspicious_findings
from kopal.pipeline import train

Kopal = Callable[..., tuple[int, str, str]]


def photos_of(labels: np.ndarray) -> Any:
    names = tuple(f"photo {place}" for place in range(len(labels)))
    return cast("Any", SimpleNamespace(names=names, labels=labels, classes=("a", "b"), groups=np.arange(len(labels))))


def test_planted_labels_are_told_with_their_names_and_photos_that_were_learned_from_are_passed_over() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2
    features = rng.normal(size=(60, 8)).astype(np.float32) + 6 * truth[:, None]
    scores = np.where(truth[:, None] == np.arange(2), 4.0, 0.0).astype(np.float32)
    labels = truth.copy()
    labels[[3, 10]] ^= 1
    scores[3] = np.nan  # learned from: its score says nothing
    found = list(suspicious_findings(photos_of(labels), scores, 1.0, features))
    assert [(row.file, row.kind, row.action) for row in found if row.kind == "label"] == [
        ("photo 10", "label", "review")
    ]
    assert "rather than b" in found[0].why
    assert not list(suspicious_findings(photos_of(labels), np.full_like(scores, np.nan), 1.0, features))


def test_a_photo_in_the_wrong_folder_is_found_by_audit_and_by_train_and_stands_on_the_page(
    tmp_path: Path, kopal: Kopal
) -> None:
    photos = make_photos(tmp_path / "photos", count=14)
    draw(1, 99).save(photos / CLASSES[0] / "stray.jpg", quality=92)
    code, out, _ = kopal("audit", photos, "--json")
    assert code == 0
    accused = [row["file"] for row in json.loads(out)["findings"] if row["kind"] == "label"]
    assert [Path(file).name for file in accused] == ["stray.jpg"]
    run = train(photos, tmp_path / "run", QUICK).folder
    report = json.loads((run / "report.json").read_bytes())
    assert report["audit"]["counts"]["label"] == 1
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "What an audit found" in page
    assert "stray.jpg" in page.split("What an audit found")[1]
    code, out, _ = kopal("audit", photos, "--out", tmp_path / "review.csv")
    assert code == 0
    rows = (tmp_path / "review.csv").read_text(encoding="utf-8").splitlines()
    moved = [row.replace("keep", f"relabel:{CLASSES[1]}", 1) if "stray.jpg" in row else row for row in rows]
    (tmp_path / "review.csv").write_text("\n".join(moved) + "\n", encoding="utf-8")
    shutil.rmtree(run)
    assert kopal("train", photos, "--review", tmp_path / "review.csv", "--out", run, "--effort", "quick")[0] == 0
    assert "label" not in json.loads((run / "report.json").read_bytes())["audit"]["counts"]
