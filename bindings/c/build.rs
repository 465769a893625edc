//! Names the shared library for the dynamic linker.
//!
//! What the library exports needs no list here: for a `cdylib` rustc itself writes a version script that names the `no_mangle`
//! functions of this crate and makes everything else local, the C libraries below included. `cargo xtask test-c` compares
//! `nm -D` with `include/proveil.symbols`.

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
