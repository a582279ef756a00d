# SPDX-License-Identifier: MIT
"""scripts/engine_hints.py on results that nobody has measured.

  engine_hints_test.py SCRIPT TABLE
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT, TABLE = (pathlib.Path(p) for p in sys.argv[1:3])


def row(microseconds, kernel, differing=0, engine=2, **key):
    hint = {'cudnn': 91900, 'architecture': 90, 'role': 'shared', 'c': 64, 'k': 64, 'r': 3, 's': 3, 'pixels': 1024,
            'addition': False, 'engine': engine, 'knobs': {'24': kernel}, 'addition_apart': False}
    return {'layer': 'a layer', 'hint': {**hint, **key}, 'microseconds': microseconds, 'differing': differing}


class EngineHints(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.table = self.folder / 'hints.json'
        shutil.copy(TABLE, self.table)
        self.before = self.table.read_text()

    def run_on(self, *files):
        paths = []
        for i, rows in enumerate(files):
            path = self.folder / f'results{i}.jsonl'
            path.write_text(rows if isinstance(rows, str) else ''.join(json.dumps(r) + '\n' for r in rows))
            paths.append(path)
        return subprocess.run([sys.executable, SCRIPT, *paths, '--table', self.table], capture_output=True, text=True)

    def measured(self):
        return json.loads(self.table.read_text())['measured']

    def test_takes_the_fastest_that_differs_in_nothing(self):
        result = self.run_on([{'copy_bytes_per_second': 3e12}, row(90.5, 23), row(40, 21, differing=3), row(50, 47)],
                             [row(51, 48), row(70, 23, c=128), row(60, 0, engine=7, c=128, addition_apart=True)])
        self.assertEqual(result.returncode, 0, result.stderr)
        mine = {h['c']: h for h in self.measured() if h['pixels'] == 1024 and h['k'] == 64 and not h['addition']}
        self.assertEqual(mine[64]['knobs'], {'24': 47})
        self.assertEqual((mine[128]['engine'], mine[128]['knobs'], mine[128]['addition_apart']), (7, {'24': 0}, True))
        self.assertIn('2 kinds of convolution measured', result.stdout)

    def test_keeps_everything_else_and_the_order_of_rows(self):
        self.assertEqual(self.run_on([row(2, 47), row(1, 21, c=32), row(3, 23, role='wide')]).returncode, 0)
        once = self.table.read_text()
        self.assertEqual(json.loads(once)['defaults'], json.loads(self.before)['defaults'])
        self.assertEqual(self.run_on([row(3, 23, role='wide'), row(1, 21, c=32), row(2, 47)]).returncode, 0)
        self.assertEqual(self.table.read_text(), once, 'the order of results decides')
        self.assertEqual(self.run_on([row(9, 48)]).returncode, 0)
        changed = [line for line in self.table.read_text().splitlines() if line not in once.splitlines()]
        self.assertEqual(len(changed), 1, 'a new measurement replaces its own row alone')
        self.assertTrue(all(len(json.dumps(h)) + 4 >= len(line) > 0 for h, line in zip(self.measured(), changed)))

    def test_what_it_writes_is_what_it_reads(self):
        """The committed table is as this script would have written it."""
        self.assertEqual(self.run_on([row(1, 1, c=9999)]).returncode, 0)
        lines = self.table.read_text().splitlines()
        known = self.before.splitlines()
        added = [line for line in lines if line not in known and line + ',' not in known and line[:-1] not in known]
        self.assertEqual(len(added), 1, added)

    def test_a_cut_last_line_is_passed_over(self):
        whole = json.dumps(row(50, 47)) + '\n'
        for cut in (1, 40, len(whole) - 3):
            self.assertEqual(self.run_on(whole + whole[:cut]).returncode, 0, cut)

    def test_bad_results_change_nothing(self):
        good = json.dumps(row(50, 47)) + '\n'
        for text, said in [
            ('', 'no line has a hint'),
            ('{"layer": "x", "microseconds": 3}\n', 'no line has a hint'),
            (json.dumps(row(5, 47, differing=1)) + '\n', 'no line has a hint'),
            ('{"hint": \n' + good, 'results0.jsonl:1: '),
            (json.dumps(row(-5, 47)) + '\n', '"microseconds" is -5'),
            (json.dumps(row(None, 47)) + '\n', '"microseconds" is None'),
            (json.dumps(row(5, 47, role='both')) + '\n', "role 'both'"),
            (json.dumps(row(5, 47, c='64')) + '\n', '"c" of the hint is \'64\''),
            (json.dumps(row(5, 47, addition=1)) + '\n', '"addition" of the hint is 1'),
            (json.dumps(row(5, '47')) + '\n', 'knobs'),
            (json.dumps({**row(5, 47), 'differing': None}) + '\n', '"differing" is None'),
            ('{"hint": 3, "microseconds": 3, "differing": 0}\n', '"hint" is 3'),
        ]:
            result = self.run_on(text)
            self.assertEqual(result.returncode, 1, text)
            self.assertIn(said, result.stderr)
            self.assertEqual(result.stderr.count('\n'), 1, result.stderr)
            self.assertEqual(self.table.read_text(), self.before)
        missing = subprocess.run([sys.executable, SCRIPT, self.folder / 'no.jsonl', '--table', self.table],
                                 capture_output=True, text=True)
        self.assertEqual((missing.returncode, self.table.read_text()), (1, self.before))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
