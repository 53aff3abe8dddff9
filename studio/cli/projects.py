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
from studio.domain.file_types import EXPORT_FILES


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
        help="free the disk of files that nothing needs",
        description="Removes files that no take uses, pictures that nothing names, exports, and what killed "
        "processes left, and prints each with its size and why. Files of the last hour are kept.",
    )
    root.add_to(collect)
    collect.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    collect.add_argument(
        "--empty-bin",
        action="store_true",
        help="also delete the projects in the bin with their takes, for good",
    )
    collect.add_argument(
        "--discarded", action="store_true", help="also delete the takes that were discarded, for good"
    )
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
        size = size_in_words(project.bytes)
        print(f"{project.id}  {when}  {project.shots:>3} shots  {size:>10}  {project.title}{bin_}")
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
    from studio.service.models import lora_problems

    with root.opened(args, new=True) as service:
        if args.file.suffix.lower() == ".mocz":
            project = service.files.import_bundle(args.file)
        elif args.file.suffix.lower() in FILM_SUFFIXES:
            project = service.files.import_film(args.file)
        else:
            from studio.exchange.yaml_reader import read_storyboard

            board = read_storyboard(args.file, unfinished=True)
            project = service.projects.create(board)
            if board != (read := service.pictures.with_files_read(board, project)):
                service.editing.replace_storyboard(project, read)
        for missing in service.projects.state(project).missing_pictures.values():
            print(missing, file=sys.stderr)
        for problem in lora_problems(service.projects.storyboard(project)):
            print(problem, file=sys.stderr)
        print(project)
    return 0


_KINDS = {file_type.suffix: kind for kind, file_type in EXPORT_FILES.items()}


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
        unused = service.storage.unused(with_bin=args.empty_bin, with_discarded=args.discarded)
        if not args.dry_run:
            if args.empty_bin:
                service.storage.empty_bin()
            if args.discarded:
                service.storage.delete_discarded()
            service.storage.collect()
    for file in unused:
        print(f"{file.location} ({size_in_words(file.bytes)}): {file.reason}")
    if unused:
        verb = "would be freed" if args.dry_run else "freed"
        print(f"{size_in_words(sum(file.bytes for file in unused))} {verb}")
    else:
        print("nothing to free: every file is in use or was written within the last hour", file=sys.stderr)
    return 0


def size_in_words(size: int) -> str:
    """A number of bytes as people write it, such as "1.2 MB"."""
    for unit, bytes_in_it in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_in_it:
            return f"{size / bytes_in_it:.1f} {unit}"
    return f"{size} bytes"
