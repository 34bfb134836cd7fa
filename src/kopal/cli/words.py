"""Every help text of the command line, in one place."""

from __future__ import annotations

HELP = {
    "kopal": "A folder of labelled photos becomes a classifier that you can trust, explain and ship. "
    "Any error: add --debug to see where it came from.",
    "demo": "Train on real data that needs no download, and show what came out.",
    "train": "Turn a folder of photos, one folder per class, into a classifier file.",
    "predict": "Say what is on photos. Exit code 1 if any could not be read.",
    "evaluate": "Measure a classifier on labelled photos.",
    "nets": "List the nets, or show one layer by layer.",
    "inspect": "Show what is in a model file.",
    "doctor": "Show versions, processor, caches and one timing.",
    "cache": "Show the cache of computed features, or clear it.",
    "--version": "Show the version and exit.",
    "data": "A folder of class folders, a folder with train/val/test inside, or: digits, fashion-mnist.",
    "--out": "The run's folder, new or empty; without it, the next free runs/<folder>-<n>.",
    "--seed": "Deals the photos into folds.",
    "--effort": "quick, balanced or best: how long to search for how much.",
    "--balance": "Let every class weigh the same, however many photos it has.",
    "--net": "The pretrained net that looks at the photos; kopal nets lists them.",
    "--no-cache": "Neither use nor keep computed features.",
    "model": "A model.onnx that kopal wrote.",
    "photos": "Photos or folders of photos; - reads paths from standard input, one a line.",
    "--top": "How many classes to show for each photo.",
    "--all": "Show all classes.",
    "--json": "Print JSON.",
    "--csv": "Write a table to this file as well.",
    "net": "A net's name; without one, all nets.",
    "--verify": "Recompute the file's digest and its golden outputs.",
    "--clear": "Delete what is kept.",
}
