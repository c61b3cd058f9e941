//! Writes dispatch policies that loop, trap and talk nonsense into a folder, for measuring what they cost others:
//! `cargo run --release -p plugin-wasmtime --example hostile -- FOLDER`

#[path = "../tests/guest/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod guest;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("the folder is the first argument");
    let plans = [
        ("loops", "(loop $again (br $again)) (unreachable)"),
        ("traps", "(unreachable)"),
        ("nonsense", "(i32.store (i32.const 256) (i32.const 12345)) (call $answer (i32.const 1))"),
    ];
    for (name, plan) in plans {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.wasm")), guest::component(plan))?;
    }
    Ok(())
}
