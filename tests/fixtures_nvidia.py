"""NVIDIA's libraries for machines without them: C libraries of those names, which the real bindings load.

NVML lists two GPUs of 80 GiB, one of which is split into MIG instances, and one of 24 GiB. NVML_ANSWERS=9 makes it
refuse to begin, as the real one does where no driver is loaded. NVML_LOST=1 makes it refuse
a handle of the GPU of that number, as it does of one that fell off the bus, and NVML_NAMELESS=1 that GPU's UUID. CUDA's
and cuDNN's tell their versions, nothing else.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from missing import part_missing

_NVML = """
#include <stdlib.h>
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory_t;
static const struct device { const char *uuid, *name; unsigned long long gib; } DEVICES[] = {
  {"GPU-aaaa1111", "NVIDIA H100 80GB HBM3", 80},
  {"GPU-aabb2222", "NVIDIA H100 80GB HBM3", 80},
  {"GPU-cccc3333", "NVIDIA L4", 24},
  {"MIG-1a2b3c4d-5e6f", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", 10},
};
enum { GPUS = 3, ALL = 4, NOT_FOUND = 6, LOST = 15 };
static const struct device *of(void *handle) { return handle; }
static int copy_text(char *to, const char *text, unsigned size) { strncpy(to, text, size); return 0; }

static int is(unsigned long index, const char *variable) {
  return getenv(variable) && index == strtoul(getenv(variable), 0, 10);
}

int nvmlInitWithFlags(unsigned flags) { return getenv("NVML_ANSWERS") ? atoi(getenv("NVML_ANSWERS")) : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return "?"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = GPUS; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, const void **handle) {
  *handle = &DEVICES[index];
  return is(index, "NVML_LOST") ? LOST : 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, const void **handle) {
  for (int i = 0; i < ALL; i++) if (!strcmp(DEVICES[i].uuid, uuid)) { *handle = &DEVICES[i]; return 0; }
  return NOT_FOUND;
}
int nvmlDeviceGetUUID(void *device, char *to, unsigned size) {
  return is(of(device) - DEVICES, "NVML_NAMELESS") ? LOST : copy_text(to, of(device)->uuid, size);
}
int nvmlDeviceGetName(void *device, char *to, unsigned size) { return copy_text(to, of(device)->name, size); }
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) { memory->total = of(device)->gib << 30; return 0; }
int nvmlSystemGetDriverVersion(char *to, unsigned size) { return copy_text(to, "580.95.05", size); }
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 13020; return 0; }
"""
_LIBRARIES = {
    "libnvidia-ml.so.1": _NVML,
    "libcudart.so.12": "int cudaRuntimeGetVersion(int *version) { *version = 12090; return 0; }",
    "libcudnn.so.9": "unsigned long cudnnGetVersion(void) { return 91900; }",
}


@pytest.fixture(scope="session")
def three_gpus(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a process that is to find three GPUs."""
    compiler = shutil.which("cc") or part_missing("there is no C compiler")
    folder = tmp_path_factory.mktemp("nvidia")
    for name, source in _LIBRARIES.items():
        library = ["-shared", "-fPIC", "-o", folder / name]
        subprocess.run([compiler, *library, "-x", "c", "-"], input=source, text=True, check=True)
    others = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return others | {"LD_LIBRARY_PATH": str(Path(folder))}
