#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the kernels need with the committed budget, for every architecture.

    kernel_budget.py NVCC INCLUDE BUDGET.json SOURCE.cu...            fails if a kernel needs more than its budget
    kernel_budget.py --update NVCC INCLUDE BUDGET.json SOURCE.cu...   writes the budget anew

Registers, bytes of static shared memory, and bytes spilled to local memory, as ptxas reports them. A kernel that needs
less than its budget is reported, not failed. Another compiler's registers are another matter: with a release other than the
budget's the comparison is skipped (exit code 77).
"""
import concurrent.futures
import json
import re
import subprocess
import sys
import tempfile

ARCHITECTURES = (80, 90, 100, 120)
FLAGS = ["-std=c++20", "--fmad=false", "-O3", "-Xptxas", "-v"]


def demangled(names):
    out = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    short = [re.sub(r"\(anonymous namespace\)::|qnudge::cuda::|qnudge::", "", line) for line in out.splitlines()]
    return dict(zip(names, short))


def measure(nvcc, include, source, arch):
    """{mangled kernel: {registers, shared, spilled}} of one file for one architecture."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        command = [nvcc, *FLAGS, f"-I{include}", "-cubin", f"-arch=sm_{arch}", "-o", cubin.name, source]
        run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr}")
    kernels, current = {}, None
    for line in (run.stdout + run.stderr).splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            current = kernels.setdefault(match[1], {"registers": 0, "shared": 0, "spilled": 0})
        elif match := re.search(r"Function properties for (\w+)", line):
            current = kernels.get(match[1])
        elif current is not None and (match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line)):
            current["spilled"] = max(current["spilled"], int(match[1]), int(match[2]))
        elif current is not None and (match := re.search(r"Used (\d+) registers", line)):
            current["registers"] = int(match[1])
            shared = re.search(r"(\d+) bytes smem", line)
            current["shared"] = int(shared[1]) if shared else 0
    return kernels


def release(nvcc):
    out = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"release (\S+),", out)[1]


def measure_all(nvcc, include, sources):
    jobs = [(source, arch) for source in sources for arch in ARCHITECTURES]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda job: measure(nvcc, include, *job), jobs))
    names = demangled(sorted({name for kernels in results for name in kernels}))
    found = {}
    for (_, arch), kernels in zip(jobs, results):
        for name, needs in kernels.items():
            # Library kernels come and go with the library's version; only ours have a budget.
            if not re.match(r"(void )?(thrust|cub)::", names[name]):
                found.setdefault(names[name], {})[f"sm_{arch}"] = needs
    return found


def compare(budget, found):
    """Sentences about growth, and about savings."""
    growth, savings = [], []
    for kernel, per_arch in found.items():
        for arch, needs in per_arch.items():
            allowed = budget.get(kernel, {}).get(arch)
            if allowed is None:
                growth.append(f"{kernel} on {arch} has no budget")
                continue
            for what, value in needs.items():
                sentence = f"{kernel} on {arch}: {what} {value}, budget {allowed[what]}"
                if value > allowed[what]:
                    growth.append(sentence)
                elif value < allowed[what]:
                    savings.append(sentence)
    growth += [f"{kernel} has a budget but is not compiled any more" for kernel in budget if kernel not in found]
    return growth, savings


def main(arguments):
    update = arguments and arguments[0] == "--update"
    nvcc, include, path, *sources = arguments[1:] if update else arguments
    budget = {} if update else json.load(open(path))
    if not update and budget["nvcc"] != release(nvcc):
        print(f"the budget is of nvcc {budget['nvcc']}, this is {release(nvcc)}: not compared")
        return 77
    found = measure_all(nvcc, include, sources)
    if not found:
        sys.exit("no kernel found: has ptxas changed its report?")
    if update:
        with open(path, "w") as file:
            json.dump({"nvcc": release(nvcc), "kernels": found}, file, indent=1, sort_keys=True)
            file.write("\n")
        print(f"{len(found)} kernels written to {path}")
        return 0
    growth, savings = compare(budget["kernels"], found)
    for sentence in savings:
        print("saved:", sentence)
    for sentence in growth:
        print("GROWN:", sentence)
    print(f"{len(found)} kernels, {len(ARCHITECTURES)} architectures: {len(growth)} beyond their budget")
    return 1 if growth else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
