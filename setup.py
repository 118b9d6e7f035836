"""Build of the compiled kernels; all metadata is in pyproject.toml.

The kernels are compiled once for each instruction set, and the best that the processor has is chosen at import. Where
they cannot be compiled, the package is installed without them and runs on NumPy.
"""

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError, PlatformError

KERNELS = Path("sklearn_rnn/_network/kernels")
# No -ffast-math: NaN and infinity must stay visible, and exp depends on exact rounding.
FLAGS = ["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-g0"]
# The flags of hardened distributions: checks of the C library's buffers and of the stack, and tables of functions that
# are read-only once loaded. Steps of streams, fits and predictions took the same time with and without them. The
# sanitizers have checks of their own, which the C library's would hide.
HARDENED = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]
RELRO = ["-Wl,-z,relro", "-Wl,-z,now"]
if platform.system() != "Linux" or "-fsanitize" in os.environ.get("CXXFLAGS", ""):
    HARDENED = RELRO = []
FLAGS += HARDENED
THREADS = [] if platform.system() == "Windows" else ["-pthread"]
LEVELS = {"generic": []}
if platform.machine() in ("x86_64", "AMD64"):
    LEVELS |= {level: [f"-march=x86-64-{level}"] for level in ("v2", "v3", "v4")}
# The files that are compiled for each level. kernels.cpp has no use for VNNI.
UNITS = [("kernels", level, flags) for level, flags in LEVELS.items()]
UNITS += [("int8", level, flags) for level, flags in LEVELS.items()]
if "v4" in LEVELS:
    UNITS.append(("int8", "v4_vnni", [*LEVELS["v4"], "-mavx512vnni"]))


class BuildKernels(build_ext):
    """Compiles kernels.cpp and int8.cpp for every level, then the extension that holds them all."""

    def build_extension(self, extension):
        """Build it, or warn."""
        try:
            if self.compiler.compiler_type == "msvc":
                self.use_clang_cl(extension)
            with ThreadPoolExecutor() as executor:
                for objects in executor.map(self.compile_unit, UNITS):
                    extension.extra_objects += objects
            super().build_extension(extension)
        except (BaseError, CCompilerError, OSError, subprocess.SubprocessError) as error:
            self.warn(
                f"the compiled kernels could not be built ({error}).\n"
                "sklearn_rnn is installed without them: it works, on NumPy, several times slower. To have them, "
                "install a C++17 compiler (GCC 11 or Clang 12, or newer; on Windows both Visual Studio's build tools "
                "and LLVM's clang-cl) and Python's headers, then sklearn_rnn again."
            )

    def use_clang_cl(self, extension):
        """Compile with clang-cl instead of MSVC, which has no vector extensions; MSVC's linker stays.

        MinGW's GCC has them too, but does not align AVX vectors on the stack of Windows (GCC bug 54412).
        """
        clang_cl = shutil.which("clang-cl")
        if clang_cl is None:
            raise PlatformError("clang-cl is not on the PATH")
        if not self.compiler.initialized:
            self.compiler.initialize()  # finds the headers, the libraries and the linker of Visual Studio
        self.compiler.cc = clang_cl
        extension.extra_compile_args = self.flags(extension.extra_compile_args)
        # __builtin_cpu_supports is in Clang's runtime library, which MSVC's linker would not look into.
        library = self.flags(["--rtlib=compiler-rt", "--print-libgcc-file-name"])
        extension.extra_link_args.append(subprocess.check_output([clang_cl, *library], text=True).strip())

    def flags(self, flags):
        """Return flags of GCC and Clang as the compiler in use takes them."""
        return [f"/clang:{flag}" for flag in flags] if self.compiler.compiler_type == "msvc" else flags

    def compile_unit(self, unit):
        """Return the object files of one file for one level."""
        name, level, flags = unit
        return self.compiler.compile(
            [str(KERNELS / f"{name}.cpp")],
            output_dir=f"{self.build_temp}/{level}",
            macros=[("LEVEL", f"{name}_{level}")],
            extra_postargs=self.flags(FLAGS + flags),
            depends=self.extensions[0].depends,
        )


extension = Extension(
    "sklearn_rnn._network.kernels._kernels",
    sources=[str(KERNELS / f"{name}") for name in ("_kernels.pyx", "dispatch.cpp", "team.cpp")],
    depends=[
        *(str(path) for pattern in ("*.h*", "*.pxi") for path in sorted(KERNELS.glob(pattern))),
        *(str(KERNELS / f"{name}.cpp") for name in ("kernels", "int8")),
    ],
    include_dirs=[numpy.get_include(), str(KERNELS)],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")] + [("X86_LEVELS", None)] * (len(LEVELS) > 1),
    # Without contraction: a scaler of a stream rounds its product before its sum, as NumPy does.
    extra_compile_args=["-std=c++17", "-O2", "-ffp-contract=off", "-g0", *HARDENED, *THREADS],
    extra_link_args=[*RELRO, *THREADS],
    language="c++",
    optional=True,
)
setup(ext_modules=[extension], cmdclass={"build_ext": BuildKernels})
