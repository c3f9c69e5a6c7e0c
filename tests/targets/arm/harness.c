/* Runs the steps of a compiled network without an operating system's libraries.
 *
 * Reads the image (arena and weights) from standard input, calls each step by the calling
 * convention of TVM FFI, and writes the arena to standard output. Each step's number goes to
 * standard error before it runs, so that a signal can be blamed on one.
 *
 * Workspaces hold garbage and end at a page that nobody may touch. The tasks of a parallel loop run
 * one after another, the last one first.
 */
#include "harness.h"

#define PAGE 4096ul
#define TASKS 3
#define GARBAGE 0xA5

#ifdef __aarch64__
enum { READ = 63, WRITE = 64, MMAP = 222, MUNMAP = 215, MPROTECT = 226, EXIT = 94 };
__asm__(".globl _start\n_start: mov x29, xzr\n mov x30, xzr\n bl begin\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
enum { READ = 0, WRITE = 1, MMAP = 9, MUNMAP = 11, MPROTECT = 10, EXIT = 231 };
__asm__(".globl _start\n_start: xor %ebp, %ebp\n and $-16, %rsp\n call begin\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return number;
}
#endif

static void leave(int status)
{
    for (;;)
        call(EXIT, status, 0, 0, 0, 0, 0);
}

static void say(const char *text)
{
    long length = 0;
    while (text[length])
        ++length;
    call(WRITE, 2, (long)text, length, 0, 0, 0);
}

static void die(const char *why)
{
    say(why);
    say("\n");
    leave(3);
}

static void transfer(long number, int file, uint8_t *bytes, uint64_t count)
{
    while (count) {
        long done = call(number, file, (long)bytes, (long)count, 0, 0, 0);
        if (done <= 0)
            die("the image is not as long as it should be");
        bytes += done;
        count -= (uint64_t)done;
    }
}

static struct { uint8_t *block; long mapping, bytes; } blocks[64];

static void *allocate(int device, int number, uint64_t bytes, int code, int bits)
{
    (void)device, (void)number, (void)code, (void)bits;
    uint64_t used = (bytes + PAGE - 1) / PAGE * PAGE;
    long at = call(MMAP, 0, (long)(used + PAGE), 3, 0x22, -1, 0);
    int i = 0;
    while (i < 64 && blocks[i].block)
        ++i;
    if (at < 0 || i == 64)
        die("no memory for a workspace");
    call(MPROTECT, at + (long)used, PAGE, 0, 0, 0, 0);
    for (uint64_t k = 0; k < used; ++k)
        ((uint8_t *)at)[k] = GARBAGE;
    blocks[i].mapping = at;
    blocks[i].bytes = (long)(used + PAGE);
    return blocks[i].block = (uint8_t *)at + used - (bytes + 63) / 64 * 64;
}

static int release(int device, int number, void *block)
{
    (void)device, (void)number;
    for (int i = 0; i < 64; ++i)
        if (blocks[i].block == block) {
            blocks[i].block = 0;
            return (int)call(MUNMAP, blocks[i].mapping, blocks[i].bytes, 0, 0, 0, 0);
        }
    die("a workspace is given back that was never taken");
    return -1;
}

struct group {
    void *handle;
    int32_t count;
};

typedef int (*task)(int number, struct group *group, void *data);

static int launch(task run, void *data, int count)
{
    struct group group = {0, count > 0 ? count : TASKS};
    for (int i = group.count; i-- > 0;)
        if (run(i, &group, data))
            return -1;
    return 0;
}

static int barrier(int number, struct group *group)
{
    (void)number, (void)group;
    die("a barrier: tasks that run one after another never meet");
    return -1;
}

/* The pointers that TVM's loader would fill in; objects hold weak ones. */
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = allocate;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = release;
int (*__TVMBackendParallelLaunch)(task, void *, int) = launch;
int (*__TVMBackendParallelBarrier)(int, struct group *) = barrier;

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count)
{
    say(kind);
    say(": ");
    for (int32_t i = 0; i < count; ++i)
        if (parts[i])
            say(parts[i]);
    say("\n");
}

void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message)
{
    TVMFFIErrorSetRaisedFromCStrParts(kind, &message, 1);
}

/* What compiler-rt lacks of libm: float32 powers, of positive bases alone. */
float powf(float base, float exponent)
{
    return (float)__builtin_exp(exponent * __builtin_log(base));
}

static void run(const struct step *step)
{
    enum { MOST = 64 };
    struct any arguments[MOST], result = {0, 0, {0}};
    if (step->count > MOST)
        die("too many arguments");
    for (int32_t i = 0; i < step->count; ++i)
        arguments[i] = (struct any){7, 0, {&step->arguments[i]}};
    say(step->name);
    say("\n");
    if (step->run(0, arguments, step->count, &result))
        leave(2);
}

__attribute__((used)) void begin(void)
{
    transfer(READ, 0, image, image_bytes);
    for (int32_t i = 0; i < step_count; ++i)
        run(&steps[i]);
    transfer(WRITE, 1, image, arena_bytes);
    leave(0);
}
