/*
 * Which libraries does this system lack?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * probe-libs --libc     prints the version of the C library
 * probe-libs FOLDER...  each is named like the library in it; prints the
 *                       folders whose library this system does not load, with
 *                       colons between
 *
 * Each library is loaded in a process of its own: constructors may crash.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gnu/libc-version.h>

static int loads(const char *name)
{
    pid_t pid = fork();
    int status, null;

    if (!pid) {
        null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        alarm(5);
        _exit(dlopen(name, RTLD_LAZY | RTLD_LOCAL) ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid &&
           WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    const char *colon = "";
    int i;

    if (argc == 2 && !strcmp(argv[1], "--libc")) {
        puts(gnu_get_libc_version());
        return 0;
    }
    for (i = 1; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');

        fflush(stdout);
        if (!loads(slash ? slash + 1 : argv[i])) {
            printf("%s%s", colon, argv[i]);
            colon = ":";
        }
    }
    putchar('\n');
    return 0;
}
