/*
 * virtio-gpu blob doctor: probes in processes of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "child.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#define POLL_US 5000

typedef struct Child {
    pid_t pid;
    int output;
    DoctorProbe *probe;
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

/* Libraries print to stdout, too. */
static void redirect(int output)
{
    int null = open("/dev/null", O_RDWR);

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
    }
    if (output < 0) {
        output = null;
    }
    if (output >= 0) {
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
    }
}

static G_NORETURN void be_child(DoctorWork *work, void *found, int output)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    redirect(output);
    work(found);
    /* _exit(): neither exit handlers nor stdio buffers are the child's. */
    _exit(0);
}

void doctor_children_start(DoctorChildren *children, DoctorWork *work,
                           void *found, DoctorProbe *probe)
{
    Child child = {
        .output = qemu_memfd_create("output", 0, false, 0, 0, NULL),
        .probe = probe,
    };

    /* Before fork(): from then on the child writes there. */
    memset(probe, 0, sizeof(*probe));
    child.pid = fork();
    if (!child.pid) {
        be_child(work, found, child.output);
    }
    if (child.pid < 0) {
        probe->end = DOCTOR_NO_FORK;
        probe->error = errno;
        close(child.output);
        return;
    }
    probe->end = DOCTOR_DIED;
    g_array_append_val(children->running, child);
}

/* The last that was said tells most. */
static void keep_output(const Child *child)
{
    DoctorProbe *probe = child->probe;
    off_t len = lseek(child->output, 0, SEEK_END);
    off_t max = sizeof(probe->said) - 1;
    ssize_t got = pread(child->output, probe->said, max,
                        len > max ? len - max : 0);

    probe->said[MAX(got, 0)] = 0;
    close(child->output);
}

/* What the child has started ends with it. */
static void kill_group(const Child *child)
{
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
}

static bool has_ended(const Child *child)
{
    DoctorProbe *probe = child->probe;
    int status;

    if (waitpid(child->pid, &status, WNOHANG) != child->pid) {
        return false;
    }
    probe->end = WIFEXITED(status) && !WEXITSTATUS(status) ? DOCTOR_DONE
                                                           : DOCTOR_DIED;
    probe->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    kill(-child->pid, SIGKILL);
    keep_output(child);
    return true;
}

static void collect(GArray *running)
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

    collect(running);
    while (running->len && g_get_monotonic_time() < until) {
        g_usleep(POLL_US);
        collect(running);
    }
    for (i = 0; i < running->len; i++) {
        Child *child = &g_array_index(running, Child, i);

        kill_group(child);
        child->probe->end = DOCTOR_LATE;
        keep_output(child);
    }
    g_array_free(running, true);
    g_free(children);
}
