"""The ``ordinance`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serving.settings import Settings

Command = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it did what was asked, 1 when it could not (the reason is on standard error), 2 for a wrong command line.
    """
    parsed = _parser().parse_args(arguments)
    try:
        settings = _settings(parsed)
        return int(parsed.run(parsed, settings))
    except ValidationError as error:
        for problem in error.errors():
            print(f"ordinance: setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("ordinance: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        from serving.commands import explanation

        told = explanation(error)
        if told is None:
            raise
        print(f"ordinance: {told}", file=sys.stderr)
        return 1


def _settings(parsed: argparse.Namespace) -> Settings:
    given = {name: getattr(parsed, name) for name in ("home", "port") if getattr(parsed, name, None) is not None}
    return Settings(**given)


def _say(text: str) -> None:
    print(text, flush=True)


def _up(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.up import up

    up(settings, empty=parsed.empty, say=_say)
    return 0


def _keys_create(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.commands import new_key

    print(new_key(settings, parsed.role, parsed.principal))
    return 0


def _train(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.train_command import Asked, train_file

    asked = Asked(parsed.file, parsed.template, parsed.target, parsed.time, parsed.name, parsed.budget, parsed.publish)
    return train_file(settings, asked, _say)


def _events_load(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.events_command import load_events

    return load_events(settings, parsed.file, _say, known_when_happened=parsed.known_when_happened)


def _simulate(parsed: argparse.Namespace, _settings: Settings) -> int:
    from serving.commands import simulate

    return simulate(parsed.orders, parsed.seed, parsed.output)


def _parity(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.commands import parity

    return parity(settings, parsed.last, parsed.seed)


def _verify(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.verify_command import Asked, verify

    return verify(settings, Asked(parsed.url, parsed.receipt, parsed.key), _say)


def _witness(parsed: argparse.Namespace, _settings: Settings) -> int:
    from serving.witness_command import Watched, witness

    folder = parsed.state.expanduser().resolve()
    asked = Watched(
        folder, parsed.name, tuple(parsed.log), tuple(parsed.follow), parsed.host, parsed.port, every_s=parsed.every, once=parsed.once
    )
    return witness(asked, _say)


def _replay(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.replay_command import Asked, replay

    return replay(settings, Asked(parsed.last, parsed.record, parsed.since, parsed.until, parsed.type), _say)


def _some(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:12]) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text[:12])


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if not 1 <= count <= 5_000:
        raise argparse.ArgumentTypeError(f"{text!r}: between 1 and 5000")
    return count


def _features_rebuild(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.features_command import rebuild

    return rebuild(settings, _say, dry_run=parsed.dry_run, accept_gap=parsed.accept_gap)


def _features_erase(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.features_command import erase

    return erase(settings, parsed.subject, parsed.archive, _say)


def _erase(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.erasing import Asked, erase

    return erase(settings, Asked(parsed.subject, parsed.by, parsed.confirm, parsed.withdraw), _say)


def _hold(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.erasing import hold

    return hold(settings, parsed.subject, parsed.by, parsed.reason, lift=parsed.lift, say=_say)


def _backup(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.backup import Asked, backup

    return backup(settings, Asked(parsed.folder, parsed.keys, parsed.keep_keys_days), _say)


def _restore(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.backup import Asked, restore

    return restore(settings, Asked(parsed.folder, parsed.keys, accept_behind=parsed.accept_behind), _say)


def _features_expire(_parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.features_command import expire

    return expire(settings, _say)


def _features_archive(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.archive_command import archive_events

    return archive_events(settings, parsed.folder, _say)


def _features_training_set(parsed: argparse.Namespace, settings: Settings) -> int:
    from serving.archive_command import Wanted, make_training_set

    return make_training_set(settings, Wanted(parsed.archive, parsed.type, parsed.requests, parsed.output, tuple(parsed.feature)), _say)


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text and text[-1] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 60s or 2m") from None
    if not 1 <= seconds <= 24 * 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: between 1s and 24h")
    return seconds


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", type=Path, metavar="DIR", help="the folder with all state (default $ORDINANCE_HOME, else ~/.ordinance)")
    parser = argparse.ArgumentParser(prog="ordinance", description="The decision service of an order management system.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[common], help=text, description=text)
        command.set_defaults(run=run)
        return command

    up = add("up", _up, "start everything on this machine and stay; Ctrl-C stops it")
    up.add_argument("--port", type=int, help="the port to listen on (default 8000)")
    up.add_argument("--empty", action="store_true", help="leave an empty home empty: no simulated history, no models")

    keys = commands.add_parser("keys", help="API keys")
    create = keys.add_subparsers(required=True, metavar="COMMAND").add_parser("create", parents=[common], help="print one new API key")
    create.add_argument("--role", required=True, help="oms, auditor, reviewer, trainer, policy_owner, approver or admin")
    create.add_argument("--principal", metavar="NAME", help="the person or system it belongs to; four eyes compare these")
    create.set_defaults(run=_keys_create)

    events = commands.add_parser("events", help="business events").add_subparsers(required=True, metavar="COMMAND")
    load = events.add_parser(
        "load",
        parents=[common],
        help="take a file of events in: JSON lines or CSV, also gzipped",
        description="Take a file of business events in. Refused lines are told by their number, the rest is kept; "
        "what was loaded before counts once, so it may be repeated.",
    )
    load.add_argument("file", type=Path, metavar="FILE", help="JSON lines or CSV, also gzipped")
    load.add_argument(
        "--known-when-happened", action="store_true", help="an event without known_at was known when it happened; without it: from now on"
    )
    load.set_defaults(run=_events_load)

    train = add("train", _train, "check a file, train on it, register the model and print the report")
    train.add_argument("file", type=Path, metavar="FILE", help="CSV, also gzipped")
    train.add_argument("--template", required=True, help="what to train: custom, ...")
    train.add_argument("--target", metavar="COL", help="the column to predict")
    train.add_argument("--time", metavar="COL", help="the column that orders the rows in time")
    train.add_argument("--name", help="name of the model, and of its endpoint")
    train.add_argument("--budget", type=_seconds, default=60.0, metavar="60s", help="time for tuning (default 60s)")
    train.add_argument("--publish", action="store_true", help="put it in service at once; on demo homes only")

    parity = add("parity", _parity, "rebuild the features of recorded decisions from raw events and compare them bit by bit")
    parity.add_argument(
        "--last", type=_count, default=200, metavar="N", help="check N of the newest N decisions of each type (default 200)"
    )
    parity.add_argument("--seed", type=int, metavar="S", help="repeats a sample")

    text = "check that nothing in the log was changed, added or left out; needs no server"
    check = add("verify", _verify, text)
    check.add_argument("--url", metavar="URL", help="a log elsewhere, checked as an outsider does; what was seen of it is remembered")
    check.add_argument(
        "--receipt", type=Path, metavar="FILE", help="an answer or its receipt: is the record in the log of the home, or of --url?"
    )
    check.add_argument(
        "--key", metavar="KEY", help="the log's verifier key, or a file with it (default: as remembered, else as the log says)"
    )

    _add_witness(add)
    text = "compute past decisions again from their records, and count what is exact; needs no server"
    again = add("replay", _replay, text)
    again.add_argument("--last", type=_some, metavar="N", help="the newest N decisions (default 100, or all of a window)")
    again.add_argument("--record", metavar="ID", help="one decision alone")
    again.add_argument("--since", metavar="TIME", help="decided at this time or later, such as 2026-11-11T00:00:00Z")
    again.add_argument("--until", metavar="TIME", help="decided before this time")
    again.add_argument("--type", metavar="TYPE", help="of this decision type alone")

    _add_privacy(add)
    _add_features(commands, common)
    world = add("simulate", _simulate, "write a simulated order world as CSV files and event lines")
    world.add_argument("--orders", type=int, required=True, metavar="N")
    world.add_argument("--seed", type=int, default=1, metavar="S")
    world.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    return parser


def _add_privacy(add: Callable[..., argparse.ArgumentParser]) -> None:
    forget = add("erase", _erase, "erase a person from every store; one asks, another one confirms")
    forget.add_argument("--subject", required=True, metavar="TYPE:ID", help="such as customer:C-9")
    forget.add_argument("--by", metavar="NAME", help="who asks for it")
    forget.add_argument("--confirm", metavar="NAME", help="who confirms it: somebody else; then it is carried out")
    forget.add_argument("--withdraw", action="store_true", help="take the request back")
    keep = add("hold", _hold, "forbid that a person is erased, or allow it again")
    keep.add_argument("--subject", required=True, metavar="TYPE:ID", help="such as customer:C-9")
    keep.add_argument("--by", required=True, metavar="NAME", help="who says so")
    keep.add_argument("--reason", required=True, metavar="TEXT", help="is recorded for ever: name the case, not the person")
    keep.add_argument("--lift", action="store_true", help="lift the holds on this person")
    copy = add("backup", _backup, "copy the home while it is in use, its keys apart")
    copy.add_argument("folder", type=Path, metavar="DIR", help="gets a folder for this backup")
    copy.add_argument("--keys", type=Path, metavar="DIR", help="where copies of the keys go (default DIR-keys)")
    copy.add_argument("--keep-keys-days", type=float, default=30.0, metavar="N", help="throw older copies of the keys away (default 30)")
    back = add("restore", _restore, "make a new home from a backup, and erase again who was erased since")
    back.add_argument("folder", type=Path, metavar="DIR", help="a backup, or the folder of several: then the newest")
    back.add_argument("--keys", type=Path, metavar="DIR", help="where the copies of the keys are (default DIR-keys)")
    back.add_argument("--accept-behind", action="store_true", help="restore although the log has signed more than the backup holds")


def _add_witness(add: Callable[..., argparse.ArgumentParser]) -> None:
    text = "follow logs and cosign what extends what was seen before, with a key and a memory of its own; for other hands than the log's"
    watch = add("witness", _witness, text)
    watch.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="the witness's own folder: its key and what it has cosigned"
    )
    watch.add_argument("--name", help="of a new witness, such as witness.example.org/1")
    watch.add_argument("--log", action="append", default=[], metavar="KEY", help="the verifier key of a log, or a file with it; repeatable")
    watch.add_argument("--follow", action="append", default=[], metavar="URL", help="a log whose checkpoints it fetches; repeatable")
    watch.add_argument("--host", default="127.0.0.1", help="where it listens with --port (default 127.0.0.1)")
    watch.add_argument("--port", type=int, help="take checkpoints by POST /add-checkpoint (c2sp.org/tlog-witness)")
    watch.add_argument("--every", type=_seconds, default=5.0, metavar="5s", help="how often it looks at followed logs (default 5s)")
    watch.add_argument("--once", action="store_true", help="look once at followed logs and end; 1 when one is not cosigned")


def _add_features(commands: Any, common: argparse.ArgumentParser) -> None:
    features = commands.add_parser("features", help="what is known of entities").add_subparsers(required=True, metavar="COMMAND")
    text = "rebuild all states from the events, beside a running service; an interrupted rebuild goes on"
    again = features.add_parser("rebuild", parents=[common], help=text, description=text)
    again.add_argument("--dry-run", action="store_true", help="say what would change, on a sample of the entities, and change nothing")
    again.add_argument("--accept-gap", action="store_true", help="give up history that was loaded without its events")
    again.set_defaults(run=_features_rebuild)
    text = "forget one customer, device, address, payment means or IP in the feature store"
    forget = features.add_parser("erase", parents=[common], help=text, description=text)
    forget.add_argument("--subject", required=True, metavar="KIND:ID", help="such as customer:C-9")
    forget.add_argument(
        "--archive", type=Path, action="append", default=[], metavar="DIR", help="an archive of events to forget it in, too"
    )
    forget.set_defaults(run=_features_erase)
    text = "forget what was told about persons longer ago than ORDINANCE_RETENTION_DAYS allows"
    features.add_parser("expire", parents=[common], help=text, description=text).set_defaults(run=_features_expire)
    text = "take the events of the database into an archive, a folder of Parquet files; each event once, so it may be repeated"
    archive = features.add_parser("archive", parents=[common], help=text, description=text)
    archive.add_argument("folder", type=Path, metavar="DIR", help="made if it is missing")
    archive.set_defaults(run=_features_archive)
    text = "write what each feature was at the moments of past decisions, from an archive, as Parquet files"
    known = features.add_parser("training-set", parents=[common], help=text, description=text)
    known.add_argument("--archive", type=Path, required=True, metavar="DIR", help="made by `ordinance features archive`")
    known.add_argument("--type", required=True, metavar="TYPE", help="acceptance, fraud or split-order")
    known.add_argument("--requests", type=Path, metavar="FILE", help="orders or keys as JSON lines (default: the recorded decisions)")
    known.add_argument("--feature", action="append", default=[], metavar="NAME", help="only this one of its features; may be repeated")
    known.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="a new folder")
    known.set_defaults(run=_features_training_set)


if __name__ == "__main__":
    sys.exit(main())
