"""How nouns look on a screen: plain aligned text, and a progress bar where there is a terminal."""

from __future__ import annotations

import os
import sys
import time
from functools import singledispatchmethod
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kopal import log
from kopal.advise import Advice
from kopal.audit import Audit
from kopal.audit.leaks import WithoutTwins
from kopal.cli.audit_lines import summary_lines, without_twins_line
from kopal.cli.heads import head_lines
from kopal.cli.output import columns, counted, paragraph, say, seconds, shown
from kopal.cli.report_lines import CLASSES_SHOWN, show_report
from kopal.datasets import Dataset
from kopal.extraction import Extraction
from kopal.fit.curve import read_curve
from kopal.fit.fitted import Fitted, Kept
from kopal.fit.loop import Epoch, Place
from kopal.fit.lr_finder import Sweep
from kopal.fit.scratch import Course
from kopal.fit.tune import Tuning
from kopal.nets.describe import output_shape
from kopal.plan import Plan
from kopal.run import Run
from kopal.unknown import Unknown

UNREADABLE_SHOWN = 10
PLAIN_INTERVAL = 10.0


class Screen:
    """The log of the command line. Progress goes to standard error, results to standard output."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None
        self._what = ""
        self._started = self._said = 0.0
        self._epochs: list[Epoch] = []
        self._earlier = 0
        self._tunes = False

    @singledispatchmethod
    def __call__(self, noun: object) -> None:
        """Show a noun; those that have no form on the screen stay unseen."""

    @__call__.register
    def _(self, dataset: Dataset) -> None:
        files, classes = counted(len(dataset), "file"), counted(len(dataset.classes), "class")
        named = any(dataset.classes)
        say(f"{shown(dataset.title)}: {files} {f'in {classes}' if named else 'without classes'}")
        counts = [(shown(name), str(count)) for name, count in zip(dataset.classes, dataset.counts(), strict=True)]
        for line in columns(counts[:CLASSES_SHOWN]) if named else ():
            say(f"  {line}")
        if len(counts) > CLASSES_SHOWN:
            fewest = min(counts, key=lambda pair: int(pair[1]))
            say(f"  and {len(counts) - CLASSES_SHOWN} more; the fewest: {fewest[0]}, {fewest[1]}")
        for note in dataset.notes:
            say(paragraph(f"note: {shown(note)}", 6))

    @__call__.register
    def _(self, extraction: Extraction) -> None:
        say(paragraph(f"features: {shown(extraction.in_words())}", 10))

    @__call__.register
    def _(self, plan: Plan) -> None:
        known = f" ({plan.cached:.0%} of a sample is already computed)" if plan.cached else ""
        head = {"logistic": "a softmax regression", "all": "every head in turn"}.get(plan.head, f"the head {plan.head}")
        say(f"plan: features of {plan.net}, then {head}\n      about {seconds(plan.reading_seconds)} to read{known}")
        if plan.fitting_seconds:
            say(f"      about {seconds(plan.fitting_seconds)} to fit")

    @__call__.register
    def _(self, progress: log.Progress) -> None:
        now = time.monotonic()
        if progress.what != self._what:
            self._close()
            self._what, self._started, self._said = progress.what, now, now
            if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
                self._bar = _bar()
                self._task = self._bar.add_task(progress.what, total=progress.total, rate="")
                self._bar.start()
        rate = progress.done / (now - self._started) if now > self._started else 0.0
        if self._bar is not None:
            told = f"{rate:.0f}/s " if rate >= 10 else ""
            self._bar.update(self._task, completed=progress.done, rate=told + progress.so_far)
        elif now - self._said >= PLAIN_INTERVAL:
            self._said = now
            left = (progress.total - progress.done) / rate if rate else 0.0
            told = f"{rate:.0f}/s, {seconds(left)} left{', ' if progress.so_far else ''}{progress.so_far}"
            say(f"  {progress.done} of {progress.total} {progress.what}, {told}", sys.stderr)
        if progress.done >= progress.total:
            self._close()

    @__call__.register
    def _(self, ledger: log.Ledger) -> None:
        self._close()
        if not ledger.rows:
            return
        listed = "" if ledger.complete else " (ledger.csv lists them)"
        say(f"{len(ledger.rows)} of {ledger.photos} files could not be read and are left out{listed}:")
        rows = ledger.rows if ledger.complete else ledger.rows[:UNREADABLE_SHOWN]
        width = max(len(row.kind) for row in rows)
        for row in rows:
            say(paragraph(f"  {row.kind:{width}}  {shown(row.path)}: {shown(row.reason)}", width + 4))
        if len(ledger.rows) > len(rows):
            say(f"  and {len(ledger.rows) - len(rows)} more")

    @__call__.register
    def _(self, note: log.Note) -> None:
        self._close()
        say(paragraph(f"note: {shown(note.text)}", 6))

    @__call__.register
    def _(self, course: Course) -> None:
        self._close()
        height, width, channels = course.net.image
        epochs = f"at most {course.epochs} epochs" if course.epochs else "epochs"
        budget = f", {seconds(course.budget)} in all" if course.budget else ""
        told = (
            f"plan: {course.net.name} from pixels {height} x {width} x {channels}, {course.parameters:,} parameters\n"
            f"      {course.photos} photos to learn from, {course.validation} to validate on\n"
            f"{paragraph(f'      {course.how}')}\n"
            f"      {epochs} of about {seconds(course.epoch_seconds)}{budget}\n"
            f"      it starts from random weights: large nets need many thousands of photos\n"
        )
        say(paragraph(told, 6))
        self._course = course

    @__call__.register
    def _(self, tuning: Tuning) -> None:
        self._close()
        course = tuning.course
        epochs = f"{course.epochs} epochs of about {seconds(course.epoch_seconds)}"
        budget = f", {seconds(course.budget)} in all" if course.budget else ""
        seen = "activations of the frozen stages, mirrored" if tuning.below else "pixels"
        told = (
            f"plan: fine-tune {len(tuning.stages)} of {tuning.of} stages of {course.net.name}, "
            f"{course.parameters:,} parameters: {', '.join(tuning.stages)}\n"
            f"      {course.photos} photos to learn from ({seen}), {course.validation} to validate on\n"
            f"      {course.how}\n"
            f"      at most {epochs}{budget}\n"
            f"      it starts as the probe, a head on frozen features: validation loss {loss(tuning.probe_loss)}, "
            f"accuracy {tuning.probe_accuracy:.4f}\n"
        )
        say(paragraph(told, 6))
        self._course, self._tunes = course, True

    @__call__.register
    def _(self, kept: Kept) -> None:
        self._close()
        was = f"validation loss {loss(kept.probe_loss)}, accuracy {kept.probe_accuracy:.4f}"
        if kept.epoch:
            now = f"validation loss {loss(kept.loss)}, accuracy {kept.accuracy:.4f}"
            say(f"kept: the net of epoch {kept.epoch}, {now}; the probe had {was}")
        else:
            say(f"kept: the probe, as {kept.why or 'no epoch did better'}: {was}")
        say(paragraph(f"advice: {kept.in_words()}", 2))

    @__call__.register
    def _(self, sweep: Sweep) -> None:
        self._close()
        say(f"learning rate {sweep.suggested:.2g}, found by a sweep of {len(sweep.rates)} steps\n")

    @__call__.register
    def _(self, place: Place) -> None:
        # What an earlier process has done is part of the curve, of the time spent and of what may be kept.
        self._epochs, self._earlier = list(place.history), len(place.history)

    @__call__.register
    def _(self, epoch: Epoch) -> None:
        self._close()
        if len(self._epochs) == self._earlier:
            say("epoch  train loss  validation loss  accuracy      rate  images/s  left")
        self._epochs.append(epoch)
        say(
            f"{epoch.number:5}  {loss(epoch.train_loss):>10}  {loss(epoch.validation_loss):>15}  "
            f"{epoch.validation_accuracy:8.4f}  {epoch.rate:8.2g}  {epoch.images_per_second:8.0f}  "
            f"{self._left(epoch)}{' *' if epoch.best else ''}".rstrip()
        )
        if epoch.stopped:
            say(f"stopped: {epoch.stopped}{self._which_is_kept()}")
            # A curve that starts at the probe is flat without anything being wrong.
            if not self._tunes and (remark := read_curve(self._epochs, output_shape(self._course.net)[0])):
                say(f"the curve: {remark}")

    def _which_is_kept(self) -> str:
        best = max((row.number for row in self._epochs if row.best), default=0)
        if not best:
            return ""
        return f"; the weights of {f'epoch {best}' if best <= self._earlier else 'the epoch with the last *'} are kept"

    def _left(self, epoch: Epoch) -> str:
        """How long it may still take, five characters wide."""
        spent = sum(row.seconds for row in self._epochs)
        left = [self._course.budget - spent] if self._course.budget else []
        left += [(self._course.epochs - epoch.number) * epoch.seconds] if self._course.epochs else []
        return f"{seconds(min(left)) if min(left) > 0 else '':5}"

    @__call__.register
    def _(self, fitted: Fitted) -> None:
        self._close()
        for line in head_lines(fitted):
            say(line)
        if len(fitted.contenders) > 1:
            say("small photos: features and raw pixels were compared by cross-validation")
            best = min(fitted.contenders, key=lambda row: row.log_loss)
            for row in fitted.contenders:
                won = "  ← won" if row is best else ""
                say(f"  {row.name:20} accuracy {row.accuracy:.3f}, log loss {row.log_loss:.3f}{won}")

    @__call__.register
    def _(self, unknown: Unknown) -> None:
        self._close()
        left_out = "" if unknown.auroc is None else f", AUROC {unknown.auroc:.2f} for classes that are left out"
        say(f"unknown photos: {len(unknown.novelty.references)} photos to compare with")
        say(f"  false alarms {unknown.false_alarms:.1%} (n = {unknown.photos}){left_out}")

    @__call__.register
    def _(self, run: Run) -> None:
        show_report(run.report)
        say(f"\nsaved in {shown(run.folder)} after {run.seconds:.1f} s:")
        more = f"{' history.csv' if run.history else ''}{' heads.csv' if run.heads else ''}"
        say("  report.html to look at, model.onnx to use, and their numbers:")
        say(f"  report.json recipe.json photos.csv ledger.csv predictions.csv{more}")
        trained = run.classifier.card.provenance["photos"]
        say(f"  the model learned from {trained} photos")

    @__call__.register
    def _(self, audit: Audit) -> None:
        self._close()
        for line in summary_lines(audit):
            say(line)

    @__call__.register
    def _(self, honest: WithoutTwins) -> None:
        say(without_twins_line(honest))

    @__call__.register
    def _(self, advice: Advice) -> None:
        for line in advice.glance():
            say(paragraph(line))

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._what = None, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()


def loss(value: float) -> str:
    """A loss as ten characters or fewer, also where it has left all bounds."""
    return f"{value:.4f}" if value < 1e4 else f"{value:.3g}"


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
