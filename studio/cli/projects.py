"""`moc-studio projects`, `new`, `import`, `export`, `backup`, `gc`: commands for a studio's projects."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.cli import root
from studio.domain.errors import OutputFailed, WrongUse


def add_to(subparsers: Any) -> None:
    listing = subparsers.add_parser("projects", help="list the projects of a studio")
    root.add_to(listing)
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    listing.set_defaults(run=run_projects)

    new = subparsers.add_parser(
        "new", help="make an empty project", description="Makes an empty project and prints its id."
    )
    root.add_to(new)
    new.add_argument("title", help="its title")
    new.set_defaults(run=run_new)

    bring = subparsers.add_parser(
        "import",
        help="make a project of a storyboard, a bundle or a film",
        description="Makes a project of a storyboard (YAML), a bundle (.mocz) or a film that moc-studio made "
        "(.mp4), by the recipe in it, and prints its id.",
    )
    root.add_to(bring)
    bring.add_argument("file", type=Path, metavar="FILE", help="FILE.yaml, FILE.mocz or FILE.mp4")
    bring.set_defaults(run=run_import)

    export = subparsers.add_parser(
        "export",
        help="write a project's film, subtitles, storyboard or bundle",
        description="Writes the film (.mp4), subtitles (.srt, .vtt), contact sheet (.png), storyboard "
        "(.yaml) or a bundle with everything (.mocz), depending on FILE's ending, and prints the path.",
    )
    root.add_to(export)
    export.add_argument("project", help="the project's id or title")
    export.add_argument("file", type=Path, metavar="FILE", help="the file to write; its ending decides which")
    export.set_defaults(run=run_export)

    backup = subparsers.add_parser(
        "backup", help="copy the studio's database", description="Prints the copy's path."
    )
    root.add_to(backup)
    backup.set_defaults(run=run_backup)

    collect = subparsers.add_parser(
        "gc",
        help="remove files that no take has any longer",
        description="Removes files that no take has any longer, and prints them.",
    )
    root.add_to(collect)
    collect.add_argument("--dry-run", action="store_true", help="only print what would go")
    collect.set_defaults(run=run_gc)


def run_projects(args: argparse.Namespace) -> int:
    with root.opened(args) as service:
        listed = service.projects.all()
    if args.json:
        print(json.dumps([asdict(project) for project in listed], indent=2, ensure_ascii=False))
        return 0
    for project in listed:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(project.changed))
        bin_ = "  in the bin" if project.trashed is not None else ""
        print(f"{project.id}  {when}  {project.shots:>3} shots  {project.title}{bin_}")
    if not listed:
        print(f"no projects in {args.root} yet; moc-studio import FILE.yaml makes one", file=sys.stderr)
    return 0


def run_new(args: argparse.Namespace) -> int:
    from studio.domain.storyboard import Storyboard

    with root.opened(args, new=True) as service:
        print(service.projects.create(Storyboard(title=args.title)))
    return 0


FILM_SUFFIXES = (".mp4", ".m4v", ".mov")


def run_import(args: argparse.Namespace) -> int:
    if not args.file.is_file():
        raise WrongUse(f"there is no file {args.file}")
    with root.opened(args, new=True) as service:
        if args.file.suffix.lower() == ".mocz":
            print(service.files.import_bundle(args.file))
        elif args.file.suffix.lower() in FILM_SUFFIXES:
            print(service.files.import_film(args.file))
        else:
            from studio.exchange.yaml import read_storyboard

            print(service.projects.create(read_storyboard(args.file, unfinished=True)))
    return 0


_KINDS = {
    ".mp4": "film.mp4",
    ".srt": "subtitles.srt",
    ".vtt": "captions.vtt",
    ".png": "contact-sheet.png",
    ".mocz": "project.mocz",
}


def run_export(args: argparse.Namespace) -> int:
    from moc_engine.files import write_text
    from studio.exchange.mp4 import recipe_in

    ending = args.file.suffix.lower()
    if ending not in (*_KINDS, ".yaml", ".yml"):
        raise WrongUse(f"FILE: must end in {', '.join(_KINDS)} or .yaml, got '{args.file.name}'")
    with root.opened(args) as service:
        project = root.find(service, args.project)
        if ending in _KINDS:
            made = service.files.export(project, _KINDS[ending])
            if ending == ".mp4" and (names := recipe_in(made).get("encoded_again")):
                print(f"{', '.join(names)} encoded again to fit the others", file=sys.stderr)
            try:
                shutil.copyfile(made, args.file)
            except OSError as error:
                raise OutputFailed(f"{args.file} cannot be written: {error.strerror}") from error
        else:
            write_text(args.file, service.projects.export_yaml(project))
    print(args.file)
    return 0


def run_backup(args: argparse.Namespace) -> int:
    with root.opened(args) as service:
        print(service.files.back_up())
    return 0


def run_gc(args: argparse.Namespace) -> int:
    with root.opened(args) as service:
        gone = service.files.orphans() if args.dry_run else service.files.collect()
    for file in gone:
        print(file)
    return 0
