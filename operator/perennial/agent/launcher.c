/* The launcher: runs the user's training as its child, so that the agent beside it learns how the training ended.
 *
 *     launch -- command [argument...]
 *
 * It holds the FIFO open for writing as long as it lives: end-of-file there is the end of the training, however it came.
 * Files in $PERENNIAL_ROOT/run (default /perennial/run) tell the rest:
 *     started       from now on an end-of-file counts
 *     interrupted   the training was told to stop; whatever it returned, its output is not whole
 *     exit          the exit code, 128 + signal for a child that was killed; the last thing that is written
 *
 * Exit codes of its own: 125 it could not do its work, 126 and 127 the command could not be started, 143 told to stop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_BROKEN = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_INTERRUPTED = 128 + SIGTERM };

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static const char *place(const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", setting("PERENNIAL_ROOT", "/perennial"), name);
    return path;
}

/* One line on stderr, for the logs, and in the termination message, for the pod's status. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "perennial: %s\n", line);
    int log = open(setting("PERENNIAL_TERMINATION_LOG", "/dev/termination-log"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (log >= 0) {
        dprintf(log, "perennial: %s\n", line);
        close(log);
    }
}

/* The agent reads these files under another uid, whatever the umask here is; a rename shows them only when whole. */
static bool leave(int run, const char *name, const char *text) {
    int file = openat(run, "unfinished", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool done = file >= 0 && dprintf(file, "%s", text) >= 0 && fchmod(file, 0644) == 0;
    if (file >= 0 && close(file) != 0) done = false;
    if (!done || renameat(run, "unfinished", run, name) != 0) {
        say("cannot write %s/%s: %s", place("run"), name, strerror(errno));
        return false;
    }
    return true;
}

static int make_readable(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)walk;
    if (kind == FTW_SL || kind == FTW_NS) return 0;
    mode_t more = S_IRGRP | S_IROTH;
    if (S_ISDIR(status->st_mode) || (status->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH))) more |= S_IXGRP | S_IXOTH;
    /* A file of another user cannot be changed; the agent says so if it cannot read it either. */
    if ((status->st_mode & more) != more) (void)!chmod(path, (status->st_mode | more) & 07777);
    return 0;
}

static const int stops[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};

static bool is_stop(int number) {
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        if (number == stops[i]) return true;
    return false;
}

/* Everything a pod or a program may send; not what the kernel raises for a fault of ours, or for job control. */
static void forwarded_signals(sigset_t *set) {
    static const int ours[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGSYS,
                               SIGABRT, SIGTSTP, SIGTTIN, SIGTTOU};
    sigfillset(set);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) sigdelset(set, ours[i]);
}

_Noreturn static void become(char **command, const sigset_t *mask) {
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(command[0], command);
    int cause = errno;
    bool there = strchr(command[0], '/') && access(command[0], F_OK) == 0;
    say("cannot start the command \"%s\": %s", command[0],
        cause == ENOENT && there ? "the interpreter named in its first line, or its loader, is not in the image"
                                 : strerror(cause));
    _exit(cause == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Reaps whatever has ended; true when the child itself is among it. */
static bool reap(pid_t child, int *status) {
    bool ended = false;
    int each;
    for (pid_t pid; (pid = waitpid(-1, &each, WNOHANG)) > 0;)
        if (pid == child) {
            *status = each;
            ended = true;
        }
    return ended;
}

/* Waits for the real end of the child and returns its wait status; *interrupted when it was told to stop. */
static int supervise(pid_t child, int run, const sigset_t *signals, bool *interrupted) {
    const struct timespec soon = {.tv_nsec = 200 * 1000 * 1000};
    int status = 0;
    bool running = true;
    /* `sh -c` dies of a TERM and leaves behind the program that it was waiting for: that one may still want to save. */
    while (running || (*interrupted && kill(-child, 0) == 0)) {
        int number = sigtimedwait(signals, NULL, running ? NULL : &soon);
        if (number == SIGCHLD) {
            if (reap(child, &status)) {
                running = false;
                if (*interrupted) kill(-child, SIGTERM);
            }
        } else if (number > 0 && number != SIGPIPE) {
            if (is_stop(number) && !*interrupted) {
                *interrupted = true;
                leave(run, "interrupted", "");
            }
            kill(running ? child : -child, number);
        }
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "--") != 0) {
        say("usage: %s -- command [argument...]", argv[0]);
        return EXIT_BROKEN;
    }
    int run = open(place("run"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sigset_t signals, before;
    signal(SIGCHLD, SIG_DFL);
    /* What starts us may ignore them (nohup, a shell's background job), and a shell cannot trap what it was born ignoring. */
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) signal(stops[i], SIG_DFL);
    forwarded_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, &before);
    /* As PID 1 orphans come to us anyway; this makes it so where the pod shares one process namespace. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);

    /* For reading as well, because opening for writing alone waits for a reader. Closed in the child by its exec, so that a
     * daemon which outlives the training does not hold it open. */
    if (openat(run, "fifo", O_RDWR | O_CLOEXEC) < 0) {
        say("cannot open %s: %s", place("run/fifo"), strerror(errno));
        return EXIT_BROKEN;
    }
    if (!leave(run, "started", "")) return EXIT_BROKEN;

    pid_t child = fork();
    if (child < 0) {
        say("cannot start a process: %s", strerror(errno));
        return EXIT_BROKEN;
    }
    if (child == 0) become(argv + 2, &before);
    setpgid(child, child); /* here too: whichever comes first */

    bool interrupted = false;
    int status = supervise(child, run, &signals, &interrupted);
    int code = interrupted ? EXIT_INTERRUPTED : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

    nftw(place("output"), make_readable, 32, FTW_PHYS);
    nftw(place("metrics.json"), make_readable, 1, FTW_PHYS);
    char text[16];
    snprintf(text, sizeof text, "%d\n", code);
    if (!leave(run, "exit", text) && code == 0) return EXIT_BROKEN;
    return code;
}
