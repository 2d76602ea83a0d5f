"""Every function of the header, called with nothing but NULL and 0: it answers, and the host lives."""

import re

from support import functions, run

# What takes NULL, by the header: these succeed.
TAKES_NULL = {"gigastt_error_status", "gigastt_set_log_callback"}

# A handle for the first argument, by its type: everything else stays NULL.
HANDLES = {"gigastt_config": "config", "gigastt_engine": "engine", "gigastt_recognizer": "recognizer"}

# Needs nothing besides the handle.
COMPLETE = {
    "gigastt_engine_retain",
    "gigastt_engine_drain",
    "gigastt_recognizer_wait_writable",
    "gigastt_recognizer_close",
    "gigastt_recognizer_cancel",
    "gigastt_recognizer_force_endpoint",
    "gigastt_recognizer_reset",
    "gigastt_recognizer_set_callback",
}

PROGRAM = """
#include <gigastt.h>
#include <stdio.h>

static int wrong;

static void check(const char *name, gigastt_status status, int complete) {
    if (complete ? status > 0 : status >= 0) {
        printf("%%s: %%s\\n", name, gigastt_status_name(status));
        wrong = 1;
    }
}

int main(void) {
    gigastt_config *config = NULL;
    gigastt_engine *engine = NULL;
    gigastt_recognizer *recognizer = NULL;
    %s
    if (gigastt_config_new(&config, NULL) != GIGASTT_OK || gigastt_engine_open(NULL, &engine, NULL) != GIGASTT_OK)
        return 1;
    if (gigastt_recognizer_open(engine, NULL, 16000, &recognizer, NULL) != GIGASTT_OK) return 1;
    %s
    gigastt_recognizer_release(recognizer);
    gigastt_config_release(config);
    gigastt_engine_release(engine);
    gigastt_engine_release(engine);
    if (gigastt_live_objects() != 0) return 1;
    printf("called %%d\\n", %d);
    return wrong;
}
"""


def call(kind, name, args, first=None):
    null = ["NULL" if "*" in arg or "_fn " in arg else "0" for arg in args]
    if first:
        null[0] = first
    text = f"{name}({', '.join(null)})"
    complete = name in (COMPLETE if first else TAKES_NULL)
    return f'check("{name}", {text}, {int(complete)});' if kind == "gigastt_status" else f"(void){text};"


def test_every_function_takes_nothing(build, tmp_path):
    listed = functions()
    handled = []
    for kind, name, args in listed:
        handle = next((h for t, h in HANDLES.items() if args and re.search(rf"\b{t} \*\w", args[0])), None)
        if handle and not name.endswith("_release"):
            handled.append(call(kind, name, args, handle))
    source = tmp_path / "nulls.c"
    plain = "\n    ".join(call(*function) for function in listed)
    source.write_text(PROGRAM % (plain, "\n    ".join(handled), len(listed)))
    assert run(build(source)) == f"called {len(listed)}\n"
    assert len(handled) > 20
