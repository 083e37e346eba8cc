/*
 * Run a program with another root's operating system around it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two uses, one program:
 *   enter CONF PROGRAM ARGS...   run PROGRAM as CONF says
 *   NAME ARGS...                 any other name: read "NAME.conf" beside this
 *                                file (a launcher; the file says which program)
 *
 * The configuration has one "key=value" on a line:
 *   root=DIR       the root that lends /usr, /etc, ...; "/" is the host's own;
 *                  without it nothing is mounted at all
 *   mnt=DIR        an empty directory to build the new root on
 *   bind=SRC=DST   SRC is visible as DST, a new name at the top
 *   env=NAME=VALUE a variable set for the program
 *   path=DIRS      put in front of the caller's PATH
 *   pdeathsig=1    the program ends with its parent
 *   program=FILE   what to run (launchers)
 *   arg=TEXT       an argument in front of the caller's (launchers)
 *
 * Everything is mounted in a mount name space of its own, which ends with the
 * program: nothing needs cleaning up, whatever happens.  Process id, working
 * directory, environment and open files are the caller's.  Linked statically
 * so that the caller's LD_PRELOAD means the program, not this one.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MAX_ITEMS 64

/* in the new root, below where env.sh has everything of ours */
#define RUNTIME_DIR "/virtio-gpu-blob/run"

struct conf {
    char *root;
    char *mnt;
    char *program;
    char *path;
    bool pdeathsig;
    char *bind[MAX_ITEMS];
    int binds;
    char *env[MAX_ITEMS];
    int envs;
    char *arg[MAX_ITEMS];
    int args;
};

static const char *self = "enter";

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", self);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(126);
}

static char *join(const char *a, const char *b)
{
    char *s = NULL;

    if (asprintf(&s, "%s/%s", strcmp(a, "/") ? a : "", b) < 0) {
        die("out of memory");
    }
    return s;
}

static void add(char **list, int *n, char *value)
{
    if (*n == MAX_ITEMS) {
        die("too many lines in the configuration");
    }
    list[(*n)++] = value;
}

static void read_conf(struct conf *c, const char *file)
{
    FILE *f = fopen(file, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    if (!f) {
        die("%s: %s (run make once)", file, strerror(errno));
    }
    while ((len = getline(&line, &size, f)) > 0) {
        char *value = strchr(line, '=');

        if (line[len - 1] == '\n') {
            line[len - 1] = 0;
        }
        if (!value || line[0] == '#') {
            continue;
        }
        *value++ = 0;
        value = strdup(value);
        if (!strcmp(line, "root")) {
            c->root = value;
        } else if (!strcmp(line, "mnt")) {
            c->mnt = value;
        } else if (!strcmp(line, "program")) {
            c->program = value;
        } else if (!strcmp(line, "path")) {
            c->path = value;
        } else if (!strcmp(line, "pdeathsig")) {
            c->pdeathsig = atoi(value);
        } else if (!strcmp(line, "bind")) {
            add(c->bind, &c->binds, value);
        } else if (!strcmp(line, "env")) {
            add(c->env, &c->envs, value);
        } else if (!strcmp(line, "arg")) {
            add(c->arg, &c->args, value);
        }
    }
    free(line);
    fclose(f);
}

static bool write_file(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static void new_namespace(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    char map[64];

    if (unshare(CLONE_NEWNS) == 0) {
        return;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
        die("cannot make a mount name space: %s\n"
            "  Run as root, or allow unprivileged user name spaces:\n"
            "  sysctl kernel.unprivileged_userns_clone=1 (Debian), or\n"
            "  sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)",
            strerror(errno));
    }
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (!write_file("/proc/self/uid_map", map)) {
        die("cannot keep the user id in the name space: %s", strerror(errno));
    }
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    write_file("/proc/self/gid_map", map);
}

/* What cannot be bound (a dead FUSE mount, say) is just not there */
static void bind_one(const char *src, const char *dst)
{
    char target[4096];
    struct stat st;
    ssize_t len;
    int fd;

    if (lstat(src, &st) < 0) {
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        len = readlink(src, target, sizeof(target) - 1);
        if (len > 0) {
            target[len] = 0;
            if (symlink(target, dst) < 0 && errno != EEXIST) {
                die("symlink %s: %s", dst, strerror(errno));
            }
        }
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        mkdir(dst, 0755);
    } else if (S_ISREG(st.st_mode)) {
        fd = open(dst, O_CREAT | O_CLOEXEC | O_WRONLY, 0644);
        if (fd >= 0) {
            close(fd);
        }
    } else {
        return;
    }
    mount(src, dst, NULL, MS_BIND | MS_REC, NULL);
}

static bool in_list(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (!strcmp(name, *list)) {
            return true;
        }
    }
    return false;
}

/* Bind all entries of @src into @dst, but those in @skip or there already */
static void bind_entries(const char *src, const char *dst,
                         const char *const *skip)
{
    DIR *d = opendir(src);
    struct dirent *e;

    if (!d) {
        return;
    }
    while ((e = readdir(d))) {
        char *from, *to;

        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
            in_list(e->d_name, skip)) {
            continue;
        }
        from = join(src, e->d_name);
        to = join(dst, e->d_name);
        if (access(to, F_OK) < 0) {
            bind_one(from, to);
        }
        free(from);
        free(to);
    }
    closedir(d);
}

static const char *const nothing[] = { NULL };

/* The lender's state, and the host's sockets, logs and images where it has none */
static void make_var(const char *root, const char *new)
{
    static const char *const deep[] = { "lib", "cache", "log", "tmp", NULL };
    static const char *const hosts[] = { "libvirt", "swtpm", NULL };
    char *var = join(new, "var");
    char *root_var = join(root, "var");
    int i, j;

    mkdir(var, 0755);
    for (i = 0; i < 3; i++) {
        char *dst = join(var, deep[i]);
        char *host = join("/var", deep[i]);
        char *lent = join(root_var, deep[i]);

        mkdir(dst, 0755);
        for (j = 0; hosts[j]; j++) {
            bind_one(join(host, hosts[j]), join(dst, hosts[j]));
        }
        bind_entries(lent, dst, nothing);
        bind_entries(host, dst, nothing);
    }
    bind_one("/var/tmp", join(var, "tmp"));
    bind_entries(root_var, var, deep);
    bind_entries("/var", var, deep);
}

static void make_root(const struct conf *c)
{
    static const char *const os[] = {
        "bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr",
        "var", "lost+found", ".dockerenv", NULL
    };
    static const char *const lent[] = {
        "bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr",
        NULL
    };
    static const char *const names[] = {
        "etc/resolv.conf", "etc/hosts", NULL
    };
    bool private = strcmp(c->root, "/");
    struct stat st;
    int i;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("virtio-gpu-blob", c->mnt, "tmpfs", 0, "mode=0755") < 0) {
        die("cannot mount on %s: %s", c->mnt, strerror(errno));
    }
    /* or binding the directory that holds it would bind it into itself */
    mount(NULL, c->mnt, NULL, MS_UNBINDABLE, NULL);

    for (i = 0; i < c->binds; i++) {
        char *dst = strrchr(c->bind[i], '=');
        char *at, *parent;

        if (!dst) {
            die("bind=%s: no target", c->bind[i]);
        }
        *dst = 0;
        at = join(c->mnt, dst + 2);
        parent = strdup(at);
        mkdir(dirname(parent), 0755);
        bind_one(c->bind[i], at);
        free(parent);
        free(at);
    }
    if (!private) {
        bind_entries("/", c->mnt, nothing);
        return;
    }
    for (i = 0; lent[i]; i++) {
        bind_one(join(c->root, lent[i]), join(c->mnt, lent[i]));
    }
    for (i = 0; names[i]; i++) {
        char *src = join("/", names[i]);
        char *dst = join(c->mnt, names[i]);

        if (lstat(dst, &st) == 0 && S_ISREG(st.st_mode) &&
            access(src, R_OK) == 0) {
            mount(src, dst, NULL, MS_BIND, NULL);
        }
    }
    make_var(c->root, c->mnt);
    bind_entries("/", c->mnt, os);
}

static void enter_root(const struct conf *c)
{
    char *cwd = getcwd(NULL, 0);

    if (!c->mnt) {
        die("the configuration names no directory to mount on");
    }
    if (access(c->root, X_OK) < 0) {
        die("%s is gone: run make again", c->root);
    }
    new_namespace();
    make_root(c);
    if (chdir(c->mnt) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0) {
        die("cannot change to the new root: %s", strerror(errno));
    }
    /* a private one again, so that the program may bind as it likes */
    mount(NULL, "/", NULL, MS_PRIVATE, NULL);
    if (cwd && chdir(cwd) < 0) {
        fprintf(stderr, "%s: %s is not visible here, going on in /\n",
                self, cwd);
    }
    free(cwd);
}

static bool try_runtime_dir(const char *dir)
{
    struct stat st;

    mkdir(dir, 0700);
    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid() && (st.st_mode & 077) == 0 &&
           setenv("XDG_RUNTIME_DIR", dir, 1) == 0;
}

/*
 * SDL wants a directory for its sockets, even off screen: one in the new root,
 * which ends with the program, or else one beside the launcher
 */
static void runtime_dir(char *exe)
{
    if (getenv("XDG_RUNTIME_DIR") || try_runtime_dir(RUNTIME_DIR)) {
        return;
    }
    try_runtime_dir(join(dirname(exe), ".run"));
}

static void set_environment(const struct conf *c)
{
    char *path = getenv("PATH");
    char *joined;
    int i;

    for (i = 0; i < c->envs; i++) {
        putenv(c->env[i]);
    }
    if (c->path) {
        if (asprintf(&joined, "%s%s%s", c->path, path ? ":" : "",
                     path ? path : "") < 0) {
            die("out of memory");
        }
        setenv("PATH", joined, 1);
    }
}

/* Ours go behind the last -L of the caller, so that theirs are looked at first */
static char **launcher_args(const struct conf *c, int argc, char **argv)
{
    char **out = calloc(argc + c->args + 2, sizeof(*out));
    int at = 1, n = 0, i, j;

    if (!out) {
        die("out of memory");
    }
    for (i = 1; i + 1 < argc; i++) {
        if (!strcmp(argv[i], "-L")) {
            at = i + 2;
        }
    }
    out[n++] = c->program;
    for (i = 1; i <= argc; i++) {
        if (i == at) {
            for (j = 0; j < c->args; j++) {
                out[n++] = c->arg[j];
            }
        }
        if (i < argc) {
            out[n++] = argv[i];
        }
    }
    out[n] = NULL;
    return out;
}

static char *launcher_conf(const char *exe)
{
    const char *variant = getenv("BLOB_VARIANT");
    char *file;

    if (asprintf(&file, "%s%s%s.conf", exe, variant && *variant ? "." : "",
                 variant ? variant : "") < 0) {
        die("out of memory");
    }
    return file;
}

int main(int argc, char **argv)
{
    struct conf c = { 0 };
    char exe[4096];
    bool launcher = false;
    const char *name;
    ssize_t len;

    len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (len < 0) {
        die("/proc is not mounted");
    }
    exe[len] = 0;
    name = strrchr(exe, '/') + 1;
    if (!strcmp(name, "enter")) {
        if (argc < 3) {
            die("usage: enter CONF PROGRAM ARGS...");
        }
        read_conf(&c, argv[1]);
        argv += 2;
    } else {
        self = name;
        read_conf(&c, launcher_conf(exe));
        if (!c.program) {
            die("%s.conf names no program", exe);
        }
        argv = launcher_args(&c, argc, argv);
        launcher = true;
    }
    /* inside already: a program of ours started by another of ours */
    if (c.root && access("/etc/virtio-gpu-blob-root", F_OK) < 0) {
        enter_root(&c);
    }
    if (launcher) {
        runtime_dir(exe);
    }
    set_environment(&c);
    if (c.pdeathsig) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    }
    execvp(argv[0], argv);
    self = "enter";
    fprintf(stderr, "%s: %s: %s\n", self, argv[0], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}
