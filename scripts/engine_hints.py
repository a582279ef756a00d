#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fills cuda/cudnn/engine_hints.json from what a device has measured.

  scripts/engine_hints.py RESULTS.jsonl...

Results are lines of qnudge_conv_benchmark. Those with "hint" count: an object as in the table, with "microseconds" beside
it and "differing", bytes in which the output was not the plain kernel's. For each kind of convolution (cuDNN's version,
architecture, role, filter, pixels, addition) the fastest choice that differs in nothing becomes the measured hint, in
place of the one that the table had. Everything else in the table stays. A last line that was cut is passed over.
"""
import argparse
import json
import os
import pathlib
import sys

KEY = {'cudnn': int, 'architecture': int, 'role': str, 'c': int, 'k': int, 'r': int, 's': int, 'pixels': int, 'addition': bool}
CHOICE = {'engine': int, 'knobs': dict, 'addition_apart': bool}
ROLES = ('single', 'wide', 'shared')


class BadResult(Exception):
    pass


def is_a(value, kind):
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def checked(hint, where):
    """The hint with its members in the table's order."""
    if not is_a(hint, dict):
        raise BadResult(f'{where}: "hint" is {hint!r}; it is an object')
    for name, kind in {**KEY, **CHOICE}.items():
        if not is_a(hint.get(name), kind):
            raise BadResult(f'{where}: "{name}" of the hint is {hint.get(name)!r}; it is of type {kind.__name__}')
    if hint['role'] not in ROLES:
        raise BadResult(f'{where}: role {hint["role"]!r}; it is single, wide or shared')
    if not all(k.isdigit() and is_a(v, int) for k, v in hint['knobs'].items()):
        raise BadResult(f'{where}: knobs {hint["knobs"]!r}; they are numbers by number')
    return {name: hint[name] for name in (*KEY, *CHOICE)}


def key_of(hint):
    return tuple(hint[name] for name in KEY)


def lines_of(path):
    """Numbered objects of a file; a last line that was cut is none."""
    lines = pathlib.Path(path).read_text(encoding='utf-8', errors='replace').split('\n')
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise BadResult(f'{path}:{number}: {error.msg}; a line is one JSON object') from error


def measured_hints(paths):
    """The fastest exact hint by key."""
    fastest = {}
    for path in paths:
        for number, row in lines_of(path):
            if not is_a(row, dict) or 'hint' not in row:
                continue
            where = f'{path}:{number}'
            hint, time = checked(row['hint'], where), row.get('microseconds')
            if not is_a(time, (int, float)) or not 0 < time < 1e12:
                raise BadResult(f'{where}: "microseconds" is {time!r}; it is a positive number')
            if not is_a(row.get('differing'), int):
                raise BadResult(f'{where}: "differing" is {row.get("differing")!r}; it is a number of bytes')
            if row['differing'] == 0 and time < fastest.get(key_of(hint), (float('inf'), None))[0]:
                fastest[key_of(hint)] = time, hint
    return {key: hint for key, (_, hint) in fastest.items()}


def table_text(table):
    """One row on one line, in an order that only depends on what the rows are for."""
    rows = {name: [' ' * 2 + json.dumps(row) for row in table[name]] for name in ('measured', 'defaults')}
    parts = [f' "{name}": [\n' + ''.join(f'{line},\n' for line in lines)[:-2] + ('\n' if lines else '') + ' ]'
             for name, lines in rows.items()]
    return '{\n' + ',\n'.join(parts) + '\n}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('results', nargs='+', help='lines of qnudge_conv_benchmark')
    default = pathlib.Path(__file__).resolve().parent.parent / 'cuda/cudnn/engine_hints.json'
    parser.add_argument('--table', default=default, type=pathlib.Path, help='the table (default: the one that is built in)')
    options = parser.parse_args()
    try:
        found = measured_hints(options.results)
        if not found:
            raise BadResult(f'{", ".join(options.results)}: no line has a hint that was measured and differs in nothing')
        table = json.loads(options.table.read_text(encoding='utf-8'))
        old = {key_of(row): row for row in table['measured']}
    except (BadResult, OSError, ValueError, KeyError) as error:
        print(f'engine_hints.py: {error}', file=sys.stderr)
        return 1
    table['measured'] = [row for _, row in sorted({**old, **found}.items())]
    whole = options.table.with_suffix('.new')
    whole.write_text(table_text(table), encoding='utf-8')
    os.replace(whole, options.table)
    changed = sum(old.get(key) != hint for key, hint in found.items())
    print(f'{options.table}: {len(found)} kinds of convolution measured, {changed} hints new or changed')
    return 0


if __name__ == '__main__':
    sys.exit(main())
