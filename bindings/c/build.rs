//! Names the shared library that cargo builds for the dynamic linker.
//!
//! What it exports cannot be said here: rustc writes the version script of a `cdylib` and adds the `no_mangle` functions of every crate
//! in it. The library that is shipped is therefore linked by `cargo xtask package-c`, from the static one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    // The number is raised together with `ABI_VERSION` of bindings/support.
    match system.as_str() {
        "linux" | "android" | "freebsd" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libproveil.so.0");
        }
        "macos" | "ios" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libproveil.0.dylib");
        }
        _ => {}
    }
}
