"""Runs the actions of `seldon-kafka dead-letters`, and prints their results."""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
from typing import List, Sequence, Tuple

from seldon_kafka.config.settings import Settings
from seldon_kafka.dead_letters.index import Index, Plan, index_of, plan
from seldon_kafka.dead_letters.letters import Envelope, read_letter, replayed_position
from seldon_kafka.dead_letters.mailbox import Mailbox, MailboxError
from seldon_kafka.dead_letters.replay import Chosen, Replay, choose, chunks
from seldon_kafka.dead_letters.selection import Selection
from seldon_kafka.dead_letters.show import shown
from seldon_kafka.dead_letters.terminal import Notice, count, plain, when
from seldon_kafka.errors import UsageError

_DONE, _NOT_ALL = 0, 1
_MOST_LINES = 20


def list_letters(settings: Settings, options: argparse.Namespace) -> int:
    """Prints the newest `--limit` of the selected dead letters; returns the exit status.

    The last line of the list is the newest dead letter.
    """
    with Mailbox(settings) as mailbox:
        index = index_of(mailbox.everything(), _selection(options))
    if options.replayed or options.waiting:
        index = index.only(replayed=options.replayed)
    limit = options.limit or len(index.letters)
    newest = sorted(index.letters, key=lambda letter: (letter.rejected_ms, letter.at))[-limit:]
    for letter in newest:
        if options.json:
            print(json.dumps({**letter.as_dict(), "replayed": index.is_replayed(letter)}))
        else:
            print(_line(letter, index))
    if not options.json:
        print(_summary(index))
        if len(newest) < len(index.letters):
            print(f"the newest {len(newest):,} are shown, --limit 0 shows all")
    return _DONE


def show_letter(settings: Settings, options: argparse.Namespace) -> int:
    """Prints one dead letter with its payload; returns the exit status.

    Raises:
        MailboxError: there is no dead letter at the position, or the topic can't be read.
    """
    position, letter, replays = options.position, None, 0
    with Mailbox(settings) as mailbox:
        if position.partition in mailbox.partitions():
            for record in mailbox.records({position.partition: position.offset}):
                if record.offset == position.offset:
                    letter = read_letter(record)
                replays += replayed_position(record) == position
    if letter is None:
        raise MailboxError(f"there is no dead letter at {position}; `list` shows them")
    print(shown(letter, replays, options.class_name or os.environ.get("MODEL_NAME")))
    return _DONE


def replay_letters(settings: Settings, options: argparse.Namespace) -> int:
    """Sends dead letters to their input topics again; returns the exit status."""
    selection = _explicit_selection(options, options.all)
    if options.dry_run:
        with Mailbox(settings) as mailbox:
            index = index_of(mailbox.everything(), selection)
            chosen = choose(index, options.attempts, options.again)
        _print_letters(chosen.letters, index)
        print(f"would replay {count(len(chosen.letters))}")
        return max(_print_rest(chosen, chosen.left_out), _print_missing(selection, index))
    replay = Replay(settings)
    try:
        with Mailbox(settings) as mailbox:
            # Other replays are fenced, and `settled` waits for the end of open transactions. So the
            # index has the markers of all earlier replays.
            index = index_of(mailbox.everything(settled=True), selection)
            chosen = choose(index, options.attempts, options.again)
            left_out = chosen.left_out + _send(replay, mailbox, index, chosen)
            return max(_print_rest(chosen, left_out), _print_missing(selection, index))
    finally:
        replay.close()


def _send(
    replay: Replay, mailbox: Mailbox, index: Index, chosen: Chosen
) -> List[Tuple[Envelope, str]]:
    """Sends the chosen dead letters, and prints the number sent.

    Returns:
        The dead letters that were left out, each with the reason.
    """
    notice, passed = Notice(), 0
    left_out: List[Tuple[Envelope, str]] = []
    try:
        for chunk in chunks(mailbox.letters(chosen.letters)):
            left_out += replay.send(chunk, index.replays)
            passed += len(chunk)
            notice.update("replayed", replay.sent, len(chosen.letters))
    finally:
        print(f"replayed {count(replay.sent)}", flush=True)
    if passed < len(chosen.letters):
        gone = len(chosen.letters) - passed
        print(f"{count(gone)} deleted by another process during the replay", file=sys.stderr)
    return left_out


def _print_rest(chosen: Chosen, left_out: Sequence[Tuple[Envelope, str]]) -> int:
    """Prints which selected dead letters were not replayed, and why; returns the exit status."""
    if chosen.done:
        print(f"{count(chosen.done)} replayed before (--again sends them once more)")
    for letter, why in left_out[:_MOST_LINES]:
        print(f"left out: {letter.position}: {why}", file=sys.stderr)
    if len(left_out) > _MOST_LINES:
        print(f"left out: {len(left_out) - _MOST_LINES:,} more", file=sys.stderr)
    if not (chosen.letters or chosen.done or left_out):
        print("no dead letter matches; `list` shows them", file=sys.stderr)
        return _NOT_ALL
    return _NOT_ALL if left_out else _DONE


def purge_letters(settings: Settings, options: argparse.Namespace) -> int:
    """Deletes the selected dead letters that no kept message precedes; returns the exit status.

    Raises:
        UsageError: no dead letter is selected explicitly, or there is no terminal for the question.
        MailboxError: the topic can't be read, or the brokers refuse the deletion.
    """
    selection = _explicit_selection(options, options.all or options.replayed)
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise UsageError(
            "there is no terminal to ask for confirmation; add --yes to delete, or --dry-run to "
            "see what would be deleted"
        )
    with Mailbox(settings) as mailbox:
        index = index_of(mailbox.everything(), selection)
        if options.replayed:
            index = index.only(replayed=True)
        missing = _print_missing(selection, index)
        purge = plan(index, mailbox.ends)
        if options.dry_run:
            _print_letters(purge.deleted, index)
        _print_plan(purge, index)
        if purge.deleted and not options.dry_run:
            if not options.yes and not _confirmed():
                print("nothing was deleted", file=sys.stderr)
                return _NOT_ALL
            mailbox.delete(purge.before)
            print(f"deleted {count(len(purge.deleted))}")
    return _NOT_ALL if missing or purge.staying or not purge.deleted else _DONE


def _print_plan(purge: Plan, index: Index) -> None:
    waiting = sum(not index.is_replayed(letter) for letter in purge.deleted)
    print(f"{count(len(purge.deleted))} can be deleted, {waiting:,} of them never replayed")
    if purge.staying:
        first = min(purge.staying, key=lambda letter: letter.at)
        blocker = f"{first.at.partition}:{index.kept_from[first.at.partition]}"
        print(
            f"{count(len(purge.staying))} can't: Kafka deletes from the start of a partition, and "
            f"messages that stay precede them (before {first.position}: {blocker})",
            file=sys.stderr,
        )


def _confirmed() -> bool:
    print("Delete them for good? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _selection(options: argparse.Namespace) -> Selection:
    """Returns the selection that the command line asks for."""
    return Selection(
        positions=frozenset(options.positions),
        reasons=frozenset(options.reason),
        since_ms=options.since,
        until_ms=options.until,
        keys=frozenset(options.key),
        partitions=frozenset(options.partition),
    )


def _explicit_selection(options: argparse.Namespace, all_of_them: bool) -> Selection:
    """Returns the selection; refuses a command line without conditions if not all are wanted.

    Raises:
        UsageError: the command line has no condition, and `all_of_them` is False.
    """
    selection = _selection(options)
    if selection.is_everything and not all_of_them:
        raise UsageError("select letters: PARTITION:OFFSET …, --reason WORD, …, or --all")
    return selection


def _print_missing(selection: Selection, index: Index) -> int:
    """Prints the given positions that have no selected dead letter; returns the exit status."""
    missing = sorted(selection.positions - {letter.at for letter in index.letters})
    if missing:
        listed = ", ".join(map(str, missing[:_MOST_LINES]))
        print(f"the selection has no dead letter at {listed}", file=sys.stderr)
    return _NOT_ALL if missing else _DONE


def _print_letters(letters: Sequence[Envelope], index: Index) -> None:
    for letter in letters[:_MOST_LINES]:
        print(_line(letter, index))
    if len(letters) > _MOST_LINES:
        print(f"… and {len(letters) - _MOST_LINES:,} more")


def _line(letter: Envelope, index: Index) -> str:
    topic, partition, offset = letter.source
    key = "" if letter.key is None else f"  key {plain(letter.key)}"
    notes = [
        *([f"attempt {letter.attempts + 1}"] if letter.attempts else []),
        *(["replayed"] if index.is_replayed(letter) else []),
    ]
    return (
        f"{letter.position:>9}  {when(letter.rejected_ms)}  {plain(letter.reason):<20} "
        f"{topic}/{partition}/{offset}{key}  {plain(letter.message)}"
        f"{' (' + ', '.join(notes) + ')' if notes else ''}"
    )


def _summary(index: Index) -> str:
    if not index.letters:
        return f"no dead letters{f' of {index.others:,} are selected' if index.others else ''}"
    by_reason = collections.Counter(letter.reason for letter in index.letters)
    kinds = ", ".join(f"{number:,} {plain(reason)}" for reason, number in by_reason.most_common())
    replayed = sum(index.is_replayed(letter) for letter in index.letters)
    done = f"; {replayed:,} replayed" if replayed else ""
    of = f" of {index.others + len(index.letters):,}" if index.others else ""
    return f"{count(len(index.letters))}{of}: {kinds}{done}"
