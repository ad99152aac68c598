/* A libcuda.so.1 without a GPU: the entry points of NVIDIA's driver that cnnc calls, over functions of the test.

   It keeps what a driver keeps (the current context of a thread, order of the stream, what a stream captures) and checks
   it. Memory, code and launches are the business of `Handlers`, which a test sets. The environment says what to pretend:
   FAKE_CUDA_START (a status), FAKE_CUDA_VERSION, FAKE_CUDA_DEVICES, FAKE_CUDA_CAPABILITY (75 for sm_75),
   FAKE_CUDA_NO_CAPTURE, FAKE_CUDA_NO_CODE (a status of loading modules). */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, NOT_FOUND = 500,
       LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900 };

typedef struct {
  uint64_t (*allocate)(uint64_t size);
  int (*release)(uint64_t address);
  uint64_t (*free_bytes)(void);
  int (*upload)(uint64_t address, const void *data, uint64_t size);
  int (*download)(void *data, uint64_t address, uint64_t size);
  int (*fill)(uint64_t address, uint64_t size, int value);
  int (*load)(const void *image);
  int (*parameters)(int kernel);
  int (*launch)(int kernel, int blocks, int threads, const int64_t *arguments, int count);
} Handlers;

typedef struct Launch {
  int kernel, blocks, threads, count;
  int64_t arguments[128];
  struct Launch *next;
} Launch;

typedef struct { int kernel; } Module;
typedef struct { Launch *first; } Graph;

static Handlers handlers;
static __thread void *current;
static int context, alive, replays;
static Graph *captured;

void fake_handlers(const Handlers *given) { handlers = *given; }
/* Things that are made and not destroyed. */
int fake_alive(void) { return alive; }
int fake_replays(void) { return replays; }

static int setting(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}

static int fake_init(unsigned flags) { return setting("FAKE_CUDA_START", SUCCESS); }
static int driver_version(int *version) { *version = setting("FAKE_CUDA_VERSION", 13050); return SUCCESS; }
static int error_string(int status, const char **text) { *text = "an error of the fake driver"; return SUCCESS; }
static int device_count(int *count) { *count = setting("FAKE_CUDA_DEVICES", 1); return SUCCESS; }
static int device_get(int *device, int number) { *device = number; return SUCCESS; }
static int device_name(char *name, int size, int device) { strncpy(name, "Fake GPU", size); return SUCCESS; }

/* Those of an A100; the numbers of attributes are those of cuda.h. */
static int device_attribute(int *value, int attribute, int device) {
  int capability = setting("FAKE_CUDA_CAPABILITY", 80);
  switch (attribute) {
    case 13: *value = 1410000; break;  /* kHz */
    case 16: *value = 108; break;      /* multiprocessors */
    case 36: *value = 1215000; break;  /* kHz of the memory */
    case 37: *value = 5120; break;     /* bits of its bus */
    case 38: *value = 40 << 20; break; /* bytes of the second-level cache */
    case 39: *value = 2048; break;     /* of a multiprocessor: threads, */
    case 81: *value = 164 << 10; break; /* bytes of shared memory, */
    case 82: *value = 65536; break;    /* registers, */
    case 106: *value = 32; break;      /* blocks */
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    default: return INVALID_VALUE;
  }
  return SUCCESS;
}

static int context_retain(void **found, int device) { *found = &context; alive++; return SUCCESS; }
static int context_release(int device) { alive--; return SUCCESS; }
static int context_set(void *wanted) { current = wanted; return SUCCESS; }

static int make(void **handle) {
  if (current != &context) return INVALID_CONTEXT;
  *handle = malloc(8);
  alive++;
  return SUCCESS;
}
static int destroy(void *handle) { free(handle); alive--; return SUCCESS; }
static int make_with_flags(void **handle, unsigned flags) { return make(handle); }
static int on_stream(void *stream) { return current == &context && stream ? SUCCESS : INVALID_CONTEXT; }
static int event_record(void *event, void *stream) { return on_stream(stream); }
static int stream_wait_event(void *stream, void *event, unsigned flags) { return on_stream(stream); }
static int event_wait(void *event) { return captured ? CAPTURE_UNSUPPORTED : SUCCESS; }
static int event_time(float *milliseconds, void *start, void *stop) { *milliseconds = 2.5f; return SUCCESS; }
static int stream_wait(void *stream) { return captured ? CAPTURE_UNSUPPORTED : on_stream(stream); }

static int memory_allocate(uint64_t *address, uint64_t size) {
  if (current != &context) return INVALID_CONTEXT;
  *address = handlers.allocate(size);
  alive += *address != 0;
  return *address ? SUCCESS : OUT_OF_MEMORY;
}
static int memory_free(uint64_t address) { alive--; return handlers.release(address); }
static int memory_info(uint64_t *free_bytes, uint64_t *total) {
  *free_bytes = *total = handlers.free_bytes();
  return SUCCESS;
}
static int host_allocate(void **address, uint64_t size) { *address = malloc(size); alive++; return SUCCESS; }
static int to_device(uint64_t to, const void *from, uint64_t size, void *stream) {
  return on_stream(stream) ? INVALID_CONTEXT : handlers.upload(to, from, size);
}
static int to_host(void *to, uint64_t from, uint64_t size, void *stream) {
  return on_stream(stream) ? INVALID_CONTEXT : handlers.download(to, from, size);
}
static int fill(uint64_t address, unsigned char value, uint64_t size, void *stream) {
  return on_stream(stream) ? INVALID_CONTEXT : handlers.fill(address, size, value);
}

static int module_load(void **found, const void *image) {
  int refusal = setting("FAKE_CUDA_NO_CODE", SUCCESS);
  if (refusal) return refusal;
  Module *module = malloc(sizeof(Module));
  module->kernel = handlers.load(image);
  *found = module;
  alive++;
  return module->kernel < 0 ? INVALID_VALUE : SUCCESS;
}
static int module_function(void **function, void *module, const char *name) {
  *function = module;
  return strcmp(name, "kernel") ? NOT_FOUND : SUCCESS;
}

static int run(const Launch *launch) {
  return handlers.launch(launch->kernel, launch->blocks, launch->threads, launch->arguments, launch->count)
             ? LAUNCH_FAILED : SUCCESS;
}
static int launch_kernel(void *function, unsigned blocks, unsigned by, unsigned bz, unsigned threads, unsigned ty,
                         unsigned tz, unsigned shared_bytes, void *stream, void **parameters, void **extra) {
  Launch launch = {.kernel = ((Module *)function)->kernel, .blocks = blocks, .threads = threads};
  launch.count = handlers.parameters(launch.kernel);
  if (on_stream(stream) || by != 1 || bz != 1 || ty != 1 || tz != 1 || extra || launch.count > 128)
    return INVALID_VALUE;
  for (int i = 0; i < launch.count; i++) memcpy(&launch.arguments[i], parameters[i], 8);
  if (!captured) return run(&launch);
  Launch **last = &captured->first;
  while (*last) last = &(*last)->next;
  *last = malloc(sizeof(Launch));
  **last = launch;
  return SUCCESS;
}

static int capture_begin(void *stream, int mode) {
  if (setting("FAKE_CUDA_NO_CAPTURE", 0)) return CAPTURE_UNSUPPORTED;
  captured = calloc(1, sizeof(Graph));
  alive++;
  return on_stream(stream);
}
static int capture_end(void *stream, void **graph) {
  *graph = captured;
  captured = NULL;
  return on_stream(stream);
}
/* The executable graph has the launches; the graph is left without any. */
static int graph_instantiate(void **executable, void *graph, unsigned long long flags) {
  *executable = calloc(1, sizeof(Graph));
  ((Graph *)*executable)->first = ((Graph *)graph)->first;
  ((Graph *)graph)->first = NULL;
  alive++;
  return SUCCESS;
}
static int graph_launch(void *executable, void *stream) {
  int status = on_stream(stream);
  replays++;
  for (Launch *launch = ((Graph *)executable)->first; launch && !status; launch = launch->next) status = run(launch);
  return status;
}
static int graph_destroy(void *graph) {
  for (Launch *launch = ((Graph *)graph)->first, *next; launch; launch = next) {
    next = launch->next;
    free(launch);
  }
  return destroy(graph);
}

static const struct { const char *name; void *function; } ENTRIES[] = {
  {"cuInit", fake_init}, {"cuDriverGetVersion", driver_version}, {"cuGetErrorString", error_string},
  {"cuDeviceGetCount", device_count}, {"cuDeviceGet", device_get}, {"cuDeviceGetName", device_name},
  {"cuDeviceGetAttribute", device_attribute}, {"cuDevicePrimaryCtxRetain", context_retain},
  {"cuDevicePrimaryCtxRelease", context_release}, {"cuCtxSetCurrent", context_set},
  {"cuStreamCreate", make_with_flags}, {"cuStreamDestroy", destroy}, {"cuStreamSynchronize", stream_wait},
  {"cuStreamWaitEvent", stream_wait_event},
  {"cuEventCreate", make_with_flags}, {"cuEventDestroy", destroy}, {"cuEventRecord", event_record},
  {"cuEventSynchronize", event_wait}, {"cuEventElapsedTime", event_time},
  {"cuMemAlloc", memory_allocate}, {"cuMemFree", memory_free}, {"cuMemGetInfo", memory_info},
  {"cuMemAllocHost", host_allocate}, {"cuMemFreeHost", destroy}, {"cuMemcpyHtoDAsync", to_device},
  {"cuMemcpyDtoHAsync", to_host}, {"cuMemsetD8Async", fill},
  {"cuModuleLoadData", module_load}, {"cuModuleGetFunction", module_function}, {"cuModuleUnload", destroy},
  {"cuLaunchKernel", launch_kernel}, {"cuStreamBeginCapture", capture_begin}, {"cuStreamEndCapture", capture_end},
  {"cuGraphInstantiateWithFlags", graph_instantiate}, {"cuGraphLaunch", graph_launch}, {"cuGraphDestroy", graph_destroy},
  {"cuGraphExecDestroy", graph_destroy},
};

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
  *function = NULL;
  for (size_t i = 0; i < sizeof ENTRIES / sizeof *ENTRIES; i++)
    if (!strcmp(name, ENTRIES[i].name)) *function = ENTRIES[i].function;
  if (status) *status = *function ? 0 : 1;
  return *function ? SUCCESS : NOT_FOUND;
}
