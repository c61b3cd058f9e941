//! `componentize MODULE.wasm COMPONENT.wasm`: makes a component of a core module, drops names and producers so that the
//! same sources give the same bytes, and prints what the component imports. It takes no adapter: a module that imports
//! WASI is refused here and not first in the broker.

use std::{env, fs};

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm, decode};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module_path, component_path] = arguments.as_slice() else {
        bail!("usage: componentize MODULE.wasm COMPONENT.wasm");
    };
    let module = fs::read(module_path).with_context(|| format!("reading {module_path}"))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .reject_legacy_names(false)
        .module(&module)
        .with_context(|| format!("{module_path} does not describe a world"))?
        .encode()
        .with_context(|| format!("making a component of {module_path}"))?;
    let imports = imports(&component)?;
    fs::write(component_path, &component).with_context(|| format!("writing {component_path}"))?;
    println!("{component_path}: {} bytes, imports: {}", component.len(), imports.join(", "));
    Ok(())
}

/// Names of what the component imports.
fn imports(component: &[u8]) -> Result<Vec<String>> {
    let DecodedWasm::Component(resolve, world) = decode(component).context("reading the component back")? else {
        bail!("the encoder made a WIT package instead of a component");
    };
    Ok(resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect())
}
