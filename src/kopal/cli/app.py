"""The commands in three panels: everyday, to study, tools."""

from __future__ import annotations

import typer

from kopal.cli import advise, audit, compare, everyday, explain, ladder, lr_find, report, reuse, serving, study, tools
from kopal.cli.words import HELP

app = typer.Typer(
    help=HELP["kopal"],
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for panel, commands in (
    (
        "Everyday",
        (
            *(everyday.demo, everyday.train, everyday.predict, everyday.evaluate, audit.audit),
            *(explain.explain, report.report, compare.compare, serving.serve),
        ),
    ),
    ("To study", (study.nets, study.descent, ladder.ladder, lr_find.lr_find, advise.advise)),
    ("Tools", (reuse.features, reuse.similar, tools.ensemble, tools.inspect, tools.doctor, tools.cache)),
):
    for command in commands:
        name = command.__name__.replace("_", "-")
        app.command(name, help=HELP[name], rich_help_panel=panel)(command)


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help=HELP["--version"], is_eager=True, callback=tools.show_version
    ),
) -> None:
    pass
