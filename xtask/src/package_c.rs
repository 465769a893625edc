//! The installable form of the C library: headers, libraries, pkg-config file and CMake package (users.md section 6).
//!
//! The package finds itself: `prefix` is computed from where the files lie, so the folder can be copied anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{cargo, run};

/// The shared library's name for the dynamic linker; `bindings/c/build.rs` sets the same.
const SONAME: &str = "libproveil.so.0";

/// What a program that links the static library needs besides it, as `rustc --print native-static-libs` says for Linux.
const LIBS_PRIVATE: &str = "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc";

/// What the shared library exports, under a version of its own: two incompatible versions can live in one process.
const EXPORTS: &str = "PROVEIL_0 { global: pv_*; local: *; };\n";

const PKG_CONFIG: &str = "# Written by `cargo xtask package-c`.
prefix=${pcfiledir}/../..
includedir=${prefix}/include
libdir=${prefix}/lib

Name: proveil
Description: Verifies the enclave behind a private AI endpoint, encrypts to its key, opens the streamed answer
Version: @VERSION@
Cflags: -I${includedir}
Libs: -L${libdir} -lproveil
Libs.private: @LIBS_PRIVATE@
";

const CMAKE: &str =
    "# Written by `cargo xtask package-c`. Targets: Proveil::proveil (shared), Proveil::proveil_static.
get_filename_component(_proveil_prefix \"${CMAKE_CURRENT_LIST_DIR}/../../..\" ABSOLUTE)
if(NOT TARGET Proveil::proveil)
  add_library(Proveil::proveil SHARED IMPORTED)
  set_target_properties(Proveil::proveil PROPERTIES
    IMPORTED_LOCATION \"${_proveil_prefix}/lib/libproveil.so.@VERSION@\"
    IMPORTED_SONAME \"@SONAME@\"
    INTERFACE_INCLUDE_DIRECTORIES \"${_proveil_prefix}/include\")
  add_library(Proveil::proveil_static STATIC IMPORTED)
  set_target_properties(Proveil::proveil_static PROPERTIES
    IMPORTED_LOCATION \"${_proveil_prefix}/lib/libproveil.a\"
    INTERFACE_LINK_LIBRARIES \"@CMAKE_LIBS@\"
    INTERFACE_INCLUDE_DIRECTORIES \"${_proveil_prefix}/include\")
endif()
unset(_proveil_prefix)
";

const CMAKE_VERSION: &str = "# Written by `cargo xtask package-c`.
set(PACKAGE_VERSION \"@VERSION@\")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
";

/// Builds the library and stages the package under `dir`.
pub fn package(root: &Path, dir: &Path, release: bool) -> Result<(), String> {
    let built = build(root, release)?;
    stage(root, &built, dir)?;
    println!("staged {}", dir.display());
    Ok(())
}

/// Builds the library; gives the folder that holds `libproveil.so` and `libproveil.a`.
pub fn build(root: &Path, release: bool) -> Result<PathBuf, String> {
    let mut arguments = vec!["build", "--package", "proveil-c"];
    if release {
        arguments.push("--release");
    }
    run(root, &cargo(), arguments)?;
    Ok(target_dir(root).join(if release { "release" } else { "debug" }))
}

/// Stages headers and the libraries of `built` under `dir`.
pub fn stage(root: &Path, built: &Path, dir: &Path) -> Result<(), String> {
    let version = env!("CARGO_PKG_VERSION");
    let lib = dir.join("lib");
    for folder in ["include", "lib/pkgconfig", "lib/cmake/proveil"] {
        fs::create_dir_all(dir.join(folder)).map_err(|error| failed(&dir.join(folder), &error))?;
    }
    for header in ["proveil.h", "proveil.hpp"] {
        copy(&root.join("include").join(header), &dir.join("include").join(header))?;
    }
    let shared = format!("libproveil.so.{version}");
    copy(&built.join("libproveil.a"), &lib.join("libproveil.a"))?;
    link_shared(&lib, &shared)?;
    link(&shared, &lib.join(SONAME))?;
    link(SONAME, &lib.join("libproveil.so"))?;
    for (template, path) in [
        (PKG_CONFIG, "pkgconfig/proveil.pc"),
        (CMAKE, "cmake/proveil/ProveilConfig.cmake"),
        (CMAKE_VERSION, "cmake/proveil/ProveilConfigVersion.cmake"),
    ] {
        let text = template
            .replace("@VERSION@", version)
            .replace("@SONAME@", SONAME)
            .replace("@LIBS_PRIVATE@", LIBS_PRIVATE)
            .replace("@CMAKE_LIBS@", &LIBS_PRIVATE.replace(' ', ";"));
        fs::write(lib.join(path), text).map_err(|error| failed(&lib.join(path), &error))?;
    }
    Ok(())
}

/// Links the shared library from the static one, so that the list of exported symbols and their version are ours: a `cdylib` of
/// rustc also exports every `no_mangle` function of the crates it depends on.
fn link_shared(lib: &Path, shared: &str) -> Result<(), String> {
    let script = lib.join("proveil.map");
    fs::write(&script, EXPORTS).map_err(|error| failed(&script, &error))?;
    let mut arguments: Vec<String> =
        ["-shared", "-o", shared, "-Wl,--gc-sections", "-Wl,-z,relro,-z,now"].map(str::to_owned).into();
    arguments.push(format!("-Wl,-soname,{SONAME}"));
    arguments.push("-Wl,--version-script=proveil.map".to_owned());
    arguments.extend(["-Wl,--whole-archive", "libproveil.a", "-Wl,--no-whole-archive"].map(str::to_owned));
    arguments.extend(LIBS_PRIVATE.split(' ').map(str::to_owned));
    run(lib, "gcc", arguments)?;
    fs::remove_file(&script).map_err(|error| failed(&script, &error))
}

/// Where cargo puts what it builds.
pub fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Copies a file over another.
pub fn copy(from: &Path, to: &Path) -> Result<(), String> {
    // A file that a running program has mapped must not be written into, so the old one is unlinked.
    let _ = fs::remove_file(to);
    fs::copy(from, to).map(|_| ()).map_err(|error| failed(from, &error))
}

/// Puts a relative symbolic link, as installers of shared libraries do.
fn link(target: &str, at: &Path) -> Result<(), String> {
    let _ = fs::remove_file(at);
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, at);
    #[cfg(not(unix))]
    let made: std::io::Result<()> = fs::copy(at.parent().unwrap_or(at).join(target), at).map(|_| ());
    made.map_err(|error| failed(at, &error))
}

/// The error text for a file.
pub fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
