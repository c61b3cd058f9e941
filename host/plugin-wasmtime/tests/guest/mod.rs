//! Guests written by hand: a core module in text with the functions of the world, made a component.

use plugin::{ConsumerRow, DispatchBatch, QueueDispatch};
use plugin_wasmtime::{Limits, WasmHost};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A component whose `plan` is `plan`; the other functions do nothing and agree to everything.
///
/// `plan` is the body of a function with the parameter `$question`, a pointer to batch (rows at 12) and consumers, and
/// a pointer to a list as its result. It may use the locals `$left`, `$row`, `$at`, `$tries`, `$count` and `$credits`, the global `$calls` (plans so far) and
/// the memory from 256 to 8192; `$answer` takes a length and answers with the slots at 256.
pub(crate) fn component(plan: &str) -> Vec<u8> {
    Guest { plan, ..Guest::default() }.component()
}

/// A component that asks for these columns and properties and gives nothing to anybody.
pub(crate) fn component_that_wants(columns: &[u32], properties: &[&str]) -> Vec<u8> {
    // requirements at 256: columns, properties, max-rows, state-version, restores; the lists behind it.
    let mut text = String::new();
    let mut store = |at: usize, value: usize| text += &format!("(i32.store (i32.const {at}) (i32.const {value}))");
    for (at, value) in [(256, 512), (260, columns.len()), (264, 768), (268, properties.len())] {
        store(at, value);
    }
    for (at, id) in columns.iter().enumerate() {
        store(512 + 4 * at, *id as usize);
    }
    let mut end = 1024;
    for (at, name) in properties.iter().enumerate() {
        store(768 + 8 * at, end);
        store(772 + 8 * at, name.len());
        for byte in name.bytes() {
            store(end, byte.into());
            end += 1;
        }
    }
    Guest { describe: &format!("{text} (i32.const 256)"), ..Guest::default() }.component()
}

/// The same with imports and another body of `configure`.
pub(crate) fn component_with(imports: &str, configure: &str, plan: &str) -> Vec<u8> {
    Guest { imports, configure, plan, ..Guest::default() }.component()
}

/// The bodies of a component's functions. Memory below 256 is zero but for what they write; 64 is a result that says
/// yes to everything.
#[derive(Clone, Copy)]
pub(crate) struct Guest<'a> {
    pub(crate) imports: &'a str,
    pub(crate) describe: &'a str,
    pub(crate) configure: &'a str,
    /// Result: 0 or 1; a list at 8 or a refusal's number at 8.
    pub(crate) snapshot: &'a str,
    /// Parameters `$format`, `$state`, `$bytes`; result: 0 or 1, a refusal's number at 8.
    pub(crate) restore: &'a str,
    /// Parameter `$changes`, how many; the global `$seen` is its to use.
    pub(crate) members: &'a str,
    pub(crate) plan: &'a str,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Guest {
            imports: "",
            describe: "(i32.const 64)",
            configure: "(i32.const 64)",
            snapshot: "(i32.const 64)",
            restore: "(i32.const 64)",
            members: "",
            plan: "(unreachable)",
        }
    }
}

impl Guest<'_> {
    pub(crate) fn component(&self) -> Vec<u8> {
        let Guest { imports, describe, configure, snapshot, restore, members, plan } = self;
        let text = format!(
            r#"(module
            {imports}
            (memory (export "memory") 2)
            (global $free (mut i32) (i32.const 8192))
            (global $calls (mut i32) (i32.const 0))
            (global $seen (mut i32) (i32.const 0))
            (func $answer (param $length i32) (result i32)
                (i32.store (i32.const 128) (i32.const 256))
                (i32.store (i32.const 132) (local.get $length))
                (global.set $free (i32.const 8192))
                (i32.const 128))
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (global.get $free)
                (global.set $free (i32.and (i32.add (global.get $free) (i32.add (local.get $size) (i32.const 15)))
                    (i32.const -8))))
            (func (export "jackfield:policy/lifecycle@0.1.0#describe") (result i32) {describe})
            (func (export "jackfield:policy/lifecycle@0.1.0#configure") (param i32 i32) (result i32) {configure})
            (func (export "jackfield:policy/lifecycle@0.1.0#snapshot") (param $limit i32) (result i32) {snapshot})
            (func (export "jackfield:policy/lifecycle@0.1.0#restore")
                (param $format i32) (param $state i32) (param $bytes i32) (result i32) {restore})
            (func (export "jackfield:policy/queue-dispatch@0.1.0#members-changed") (param i32) (param $changes i32)
                {members})
            (func (export "jackfield:policy/queue-dispatch@0.1.0#plan") (param $question i32) (result i32)
                (local $left i32) (local $row i32) (local $at i32) (local $tries i32) (local $count i32)
                (local $credits i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                {plan}))"#
        );
        let mut module = wat::parse_str(&text).expect("the text of the test is a module");
        let mut resolve = Resolve::default();
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let (package, _) = resolve.push_dir(wit).expect("the WIT package is well formed");
        let world = resolve.select_world(&[package], Some("queue-policy")).expect("the world is there");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the module takes it");
        ComponentEncoder::default()
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .expect("the module fits the world")
    }
}

/// A host with short pauses and a component under the name `guest`, compiled.
pub(crate) fn host_with(component: Vec<u8>) -> WasmHost {
    let limits =
        Limits { backoff_min: std::time::Duration::from_millis(20), batches_until_recovered: 3, ..Limits::default() };
    let host = WasmHost::new(limits).expect("the engine starts");
    host.add("guest", component, &[]).expect("the component is accepted");
    host.prepare("guest").expect("the component compiles");
    host
}

/// Two consumers with plenty of credit.
pub(crate) const CONSUMERS: [ConsumerRow; 2] = [
    ConsumerRow { slot: 7, credit: 1_000, in_flight: 0, priority: 0 },
    ConsumerRow { slot: 8, credit: 1_000, in_flight: 0, priority: 0 },
];

/// Asks for a plan of four rows at `now_ms` and gives who decided, and the plan.
pub(crate) fn ask(policy: &mut dyn QueueDispatch, now_ms: u64) -> (plugin::Decided, Vec<u32>) {
    let mut plan = Vec::new();
    let decided = policy.plan(&DispatchBatch::new(now_ms, 4, &CONSUMERS), &mut plan);
    (decided, plan)
}
