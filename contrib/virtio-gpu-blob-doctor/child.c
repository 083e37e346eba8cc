/*
 * virtio-gpu blob doctor: a probe that may hang
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "child.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#define LOOK_US 5000

typedef struct Child {
    pid_t pid;
    DoctorEnd *end;
} Child;

struct DoctorChildren {
    GArray *running;
};

DoctorChildren *doctor_children_new(void)
{
    DoctorChildren *children = g_new(DoctorChildren, 1);

    children->running = g_array_new(false, false, sizeof(Child));
    return children;
}

/* Libraries say much on the way, and some of it to stdout. */
static void silence(void)
{
    int null = open("/dev/null", O_RDWR);

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
}

static G_NORETURN void be_child(DoctorWork *work, void *found)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    silence();
    work(found);
    /* Neither handlers of exit() nor buffers of stdio are ours to run. */
    _exit(0);
}

void doctor_children_start(DoctorChildren *children, DoctorWork *work,
                           void *found, DoctorEnd *end)
{
    Child child = { .pid = fork(), .end = end };

    if (!child.pid) {
        be_child(work, found);
    }
    *end = DOCTOR_DIED;
    if (child.pid > 0) {
        g_array_append_val(children->running, child);
    }
}

/* What it started goes with it. */
static void kill_group(const Child *child)
{
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
}

static bool has_ended(const Child *child)
{
    int status;

    if (waitpid(child->pid, &status, WNOHANG) != child->pid) {
        return false;
    }
    *child->end = WIFEXITED(status) && !WEXITSTATUS(status) ? DOCTOR_DONE
                                                            : DOCTOR_DIED;
    kill(-child->pid, SIGKILL);
    return true;
}

static void look(GArray *running)
{
    guint i = running->len;

    while (i--) {
        if (has_ended(&g_array_index(running, Child, i))) {
            g_array_remove_index_fast(running, i);
        }
    }
}

void doctor_children_wait(DoctorChildren *children, double seconds)
{
    int64_t until = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    GArray *running = children->running;
    guint i;

    look(running);
    while (running->len && g_get_monotonic_time() < until) {
        g_usleep(LOOK_US);
        look(running);
    }
    for (i = 0; i < running->len; i++) {
        Child *child = &g_array_index(running, Child, i);

        kill_group(child);
        *child->end = DOCTOR_LATE;
    }
    g_array_free(running, true);
    g_free(children);
}
