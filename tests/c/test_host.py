"""What the library does to the process it is a guest of."""

from support import ROOT, SAMPLES, functions, run


def test_a_forked_child_is_told(build):
    assert run(build("tests/c/fork.c"), SAMPLES / "sample_00.wav") == "child: 0\n"


def test_a_forked_child_calls_every_function():
    """Those that have a status to say so with, and those that release."""
    program = (ROOT / "tests/c/fork.c").read_text()
    # The status of an error is that of an earlier call, from whatever process.
    said = [name for kind, name, _ in functions() if kind == "gigastt_status" and name != "gigastt_error_status"]
    released = [name for _, name, _ in functions() if name.endswith("_release")]
    assert len(said) > 40 and len(released) > 8
    assert [name for name in said if f"FORKED({name}(" not in program] == []
    assert [name for name in released if f"    {name}(" not in program] == []


def test_logs_go_to_the_host(build, tmp_path):
    """Nothing is printed; without a callback nothing is said at all."""
    source = tmp_path / "logs.c"
    source.write_text(
        """#include <gigastt.h>
#include <stdio.h>
#include <string.h>
static int lines, destroyed;
static void on_log(void *user, gigastt_log_level level, const char *target, const char *message) {
    if (user == &lines && level <= GIGASTT_LOG_INFO && strncmp(target, "gigastt", 7) == 0 && message[0]) ++lines;
}
static void destroy(void *user) {
    (void)user;
    ++destroyed;
}
int main(void) {
    gigastt_engine *engine = NULL;
    if (gigastt_set_log_callback(on_log, 9, &lines, destroy, NULL) != GIGASTT_INVALID_ARGUMENT || destroyed != 1) return 1;
    if (gigastt_set_log_callback(on_log, GIGASTT_LOG_INFO, &lines, destroy, NULL) != GIGASTT_OK) return 2;
    if (gigastt_engine_open(NULL, &engine, NULL) != GIGASTT_OK || lines == 0) return 3;
    gigastt_engine_release(engine);
    if (gigastt_set_log_callback(NULL, 0, NULL, NULL, NULL) != GIGASTT_OK || destroyed != 2) return 4;
    return 0;
}
"""
    )
    assert run(build(source)) == ""


def test_onnx_runtime_is_named_or_missed(build, tmp_path, prefix):
    source = tmp_path / "runtime.c"
    source.write_text(
        """#include <gigastt.h>
#include <stdio.h>
int main(int argc, char **argv) {
    gigastt_engine *engine = NULL;
    gigastt_error *error = NULL;
    if (argc > 1 && gigastt_runtime_set_path(argv[1], NULL) != GIGASTT_OK) return 2;
    gigastt_status status = gigastt_engine_open(NULL, &engine, &error);
    printf("%s %s", gigastt_status_name(status), gigastt_error_message(error).data);
    gigastt_error_release(error);
    gigastt_engine_release(engine);
    return 0;
}
"""
    )
    program = build(source)
    assert run(program, prefix / "lib/gigastt/libonnxruntime.so") == "ok "
    missing = tmp_path / "nowhere.so"
    printed = run(program, missing)
    assert printed.startswith("runtime ") and str(missing) in printed
    folder = (prefix / "lib").resolve()
    for expected in ("to mend it, ", "pip install", f"searched in this order: a path that is passed ({missing})"):
        assert expected in printed, printed
    assert f", {folder}/gigastt, {folder}, " in printed, printed
    text = tmp_path / "text.so"
    text.write_text("no library")
    assert run(program, text).startswith("runtime ")


def test_onnx_runtime_reports_nothing_and_a_forked_child_may_exit(build, tmp_path):
    """It would queue what it reports under the home folder, and wait for the thread that sends it as the child ends."""
    source = tmp_path / "reports.c"
    source.write_text(
        """#define _POSIX_C_SOURCE 200809L
#include <gigastt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int how = 0;
    gigastt_engine *engine = NULL;
    if (gigastt_engine_open(NULL, &engine, NULL) != GIGASTT_OK) return 2;
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        exit(7);
    }
    if (waitpid(child, &how, 0) != child) return 3;
    gigastt_engine_release(engine);
    printf("%d", WIFEXITED(how) ? WEXITSTATUS(how) : -1);
    return 0;
}
"""
    )
    home = tmp_path / "home"
    home.mkdir()
    # The variable of whoever runs the tests would be heeded.
    assert run(build(source), env={"HOME": str(home)}) == "7"
    assert not (home / ".cache/Microsoft").exists()


def test_it_stays_loaded(build, tmp_path, prefix):
    """ONNX Runtime does, and has the address of its log: loaded again elsewhere, the first warning would crash."""
    source = tmp_path / "plugin.c"
    source.write_text(
        """#include <dlfcn.h>
#include <gigastt.h>
#include <pthread.h>
#include <stdio.h>
static void *use(void *library) {
    gigastt_engine *engine = NULL;
    gigastt_status (*open)(const gigastt_config *, gigastt_engine **, gigastt_error **);
    void (*release)(gigastt_engine *);
    *(void **)&open = dlsym(library, "gigastt_engine_open");
    *(void **)&release = dlsym(library, "gigastt_engine_release");
    if (open(NULL, &engine, NULL) < 0) printf("no engine ");
    release(engine);
    return NULL;
}
int main(int argc, char **argv) {
    pthread_t thread;
    if (argc != 2 || dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD)) return 2;
    void *library = dlopen(argv[1], RTLD_NOW);
    // On a thread of its own, as what a thread leaves to be done at its end keeps a library as well.
    if (!library || pthread_create(&thread, NULL, use, library) || pthread_join(thread, NULL)) return 3;
    dlclose(library);
    printf("%s", dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) ? "loaded" : "unloaded");
    return 0;
}
"""
    )
    program = build(source, flags=["-Wl,--as-needed", "-Wno-strict-aliasing"])
    assert run(program, prefix / "lib/libgigastt.so.1") == "loaded"
