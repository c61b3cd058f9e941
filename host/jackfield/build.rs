//! Lists the sources of the libraries that `jackfield plugin new` puts beside a policy, so that none is forgotten.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Folders of the tree, and where they go in the policy's folder `sdk`.
const LIBRARIES: [(&str, &str); 8] = [
    ("host/plugin", "host/plugin"),
    ("host/selector", "host/selector"),
    ("plugins/sdk/auth", "auth"),
    ("plugins/sdk/group", "group"),
    ("plugins/sdk/network", "network"),
    ("plugins/sdk/routing", "routing"),
    ("plugins/sdk/topic", "topic"),
    ("plugins/sdk/shared", "shared"),
];

fn main() {
    let variable = |name: &str| PathBuf::from(std::env::var_os(name).expect("cargo sets it"));
    let tree = variable("CARGO_MANIFEST_DIR").join("../..").canonicalize().expect("the crate is in the tree");
    let mut list = String::from("&[\n");
    for (folder, to) in LIBRARIES {
        let folder = tree.join(folder);
        let mut files = Vec::new();
        // A crate has tests and more beside its sources; what is no crate is needed whole.
        let parts = match folder.join("Cargo.toml").exists() {
            true => vec![folder.join("Cargo.toml"), folder.join("src")],
            false => vec![folder.clone()],
        };
        for part in parts {
            println!("cargo::rerun-if-changed={}", part.display());
            collect(&part, &mut files);
        }
        files.sort();
        for file in files {
            let name = file.strip_prefix(&folder).expect("it was found there").display();
            let place = format!("{to}/{name}");
            writeln!(list, "    ({place:?}, include_str!({file:?})),").expect("a text takes all");
        }
    }
    list += "]\n";
    std::fs::write(variable("OUT_DIR").join("sdk_sources.rs"), list).expect("cargo's folder can be written");
}

/// The files below a path, in no order.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder of sources") {
            collect(&entry.expect("a folder of sources").path(), files);
        }
    } else {
        files.push(path.to_owned());
    }
}
