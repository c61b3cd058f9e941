//! A look into the bytes of a component before they are compiled.

use plugin::PolicyError;
use wasmparser::{Encoding, Instance, Operator, Parser, Payload};

use crate::Limits;
use crate::bindings::GRANTED;
use crate::world::{WORLDS, World};

/// The world of a component. Refuses what is too big, is no component, asks for more than is granted or has not the
/// exports of one world.
pub(crate) fn check(policy: &str, bytes: &[u8], limits: &Limits) -> Result<&'static World, PolicyError> {
    if bytes.len() > limits.component_bytes_max {
        return Err(PolicyError::TooLarge {
            policy: policy.to_owned(),
            have: bytes.len(),
            limit: limits.component_bytes_max,
        });
    }
    let found = match Found::read(bytes, limits) {
        Ok(found) => found,
        Err(Reading::Parser(error)) => {
            return Err(PolicyError::NotComponent { policy: policy.to_owned(), reason: error.to_string() });
        }
        Err(Reading::Limit(reason)) => return Err(PolicyError::Refused { policy: policy.to_owned(), reason }),
    };
    if !found.is_component {
        let reason = "it is a core module; make a component of it first".to_owned();
        return Err(PolicyError::NotComponent { policy: policy.to_owned(), reason });
    }
    let imports: Vec<String> = found.imports.into_iter().filter(|name| !GRANTED.contains(&name.as_str())).collect();
    if !imports.is_empty() {
        return Err(PolicyError::ForbiddenImports { policy: policy.to_owned(), imports });
    }
    world_of(&found.exports).map_err(|reason| PolicyError::WrongWorld { policy: policy.to_owned(), reason })
}

/// The world whose interface is among the exports; exactly one must be.
fn world_of(exports: &[String]) -> Result<&'static World, String> {
    let has = |name: &str| exports.iter().any(|export| export == name);
    let mut found = WORLDS.into_iter().filter(|world| has(world.interface));
    let Some(world) = found.next() else {
        let interfaces = WORLDS.map(|world| world.interface).join(", ");
        return Err(format!("it exports none of {interfaces}"));
    };
    if let Some(other) = found.next() {
        return Err(format!("it exports both {} and {}; a component has one world", world.interface, other.interface));
    }
    match world.exports().into_iter().find(|name| !has(name)) {
        Some(missing) => Err(format!("it does not export {missing}, as world {} wants", world.name)),
        None => Ok(world),
    }
}

/// What a component imports, as far as that can be read.
pub(crate) fn imports(bytes: &[u8]) -> Vec<String> {
    Found::read(bytes, &Limits::default()).map(|found| found.imports).unwrap_or_default()
}

/// What a component says about itself without being run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Interfaces that it asks for.
    pub imports: Vec<String>,
    /// Those of them that no policy is given.
    pub forbidden: Vec<String>,
    /// Interfaces that it offers.
    pub exports: Vec<String>,
    /// The world that it implements, without package and version, or why it is none.
    pub world: Result<&'static str, String>,
    /// Functions in all its core modules.
    pub functions: u32,
}

/// Looks into the bytes of a component; nothing of it is run.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Inspection, PolicyError> {
    let policy = "inspected".to_owned();
    let found = Found::read(bytes, limits).map_err(|reading| match reading {
        Reading::Parser(error) => PolicyError::NotComponent { policy: policy.clone(), reason: error.to_string() },
        Reading::Limit(reason) => PolicyError::Refused { policy: policy.clone(), reason },
    })?;
    if !found.is_component {
        let reason = "it is a core module; make a component of it first".to_owned();
        return Err(PolicyError::NotComponent { policy, reason });
    }
    let is_forbidden = |name: &&String| !GRANTED.contains(&name.as_str());
    Ok(Inspection {
        forbidden: found.imports.iter().filter(is_forbidden).cloned().collect(),
        world: world_of(&found.exports).map(|world| world.name),
        imports: found.imports,
        exports: found.exports,
        functions: found.functions,
    })
}

/// What the bytes say about themselves.
#[derive(Default)]
struct Found {
    is_component: bool,
    imports: Vec<String>,
    exports: Vec<String>,
    functions: u32,
}

enum Reading {
    Parser(wasmparser::BinaryReaderError),
    Limit(String),
}

impl From<wasmparser::BinaryReaderError> for Reading {
    fn from(error: wasmparser::BinaryReaderError) -> Reading {
        Reading::Parser(error)
    }
}

impl Found {
    fn read(bytes: &[u8], limits: &Limits) -> Result<Found, Reading> {
        let mut found = Found::default();
        let mut depth = 0_usize;
        let (mut modules, mut instances) = (0_usize, 0_u64);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    found.is_component = encoding == Encoding::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    depth += 1;
                    modules += 1;
                }
                Payload::InstanceSection(section) => {
                    for instance in section {
                        instances += u64::from(matches!(instance?, Instance::Instantiate { .. }));
                    }
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        found.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        found.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::CodeSectionStart { count, .. } => {
                    found.functions = found.functions.saturating_add(count);
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader()? {
                        if let Operator::BrTable { targets } = operator? {
                            under("branch_targets_max", targets.len().into(), limits.branch_targets_max.into())?;
                        }
                    }
                }
                _ => {}
            }
        }
        under("modules_max", modules as u64, limits.modules_max as u64)?;
        under("core_instances_max", instances, limits.core_instances_max as u64)?;
        under("functions_max", found.functions.into(), limits.functions_max.into())?;
        Ok(found)
    }
}

fn under(name: &str, have: u64, limit: u64) -> Result<(), Reading> {
    let what = match name {
        "modules_max" => "modules",
        "core_instances_max" => "instances of modules",
        "functions_max" => "functions",
        _ => "targets of one jump",
    };
    if have <= limit { Ok(()) } else { Err(Reading::Limit(format!("it has {have} {what} where {name} is {limit}"))) }
}
