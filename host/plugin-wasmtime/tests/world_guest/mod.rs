//! Components of the worlds beside queue dispatch and auth, written by hand: a core module in text, made a component.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Name of a world, and its functions beside `reads` with their core types.
pub(crate) type WorldText = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

pub(crate) const ROUTING: WorldText =
    ("routing-policy", "publish-routing", &[("route", "(param i64 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)")]);
pub(crate) const TOPIC: WorldText = ("topic-policy", "topic-dispatch", &[("plan", "(param i32) (result i32)")]);
pub(crate) const GROUP: WorldText = (
    "group-policy",
    "group-assignment",
    &[("assign", "(param i32) (result i32)"), ("rebalance", "(param i32) (result i32)")],
);

pub(crate) const NETWORK: WorldText = (
    "network-policy",
    "network-filter",
    &[
        ("filter-demand", "(param i32 i32 i32 i32 i32 i32) (result i32)"),
        ("filter-messages", "(param i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ],
);

/// A component whose functions beside the lifecycle have this body; `reads` has another one. Both may use the local
/// `$left` and `$answer`, which takes a length and answers with a list at 256. `(i32.const 64)` answers zeros.
pub(crate) fn component(world: WorldText, imports: &str, reads: &str, body: &str) -> Vec<u8> {
    component_of(world, imports, reads, &vec![body; world.2.len()])
}

/// The same with a body for each function, in their order.
pub(crate) fn component_of(
    (world, interface, functions): WorldText,
    imports: &str,
    reads: &str,
    bodies: &[&str],
) -> Vec<u8> {
    let point = |name: &str, types: &str, body: &str| {
        format!(r#"(func (export "jackfield:policy/{interface}@0.1.0#{name}") {types} (local $left i32) {body})"#)
    };
    let mut points = match interface {
        "group-assignment" => {
            point("rebalances", "(result i32)", "(i32.const 1)") + &point("members-changed", "(param i32 i32)", "")
        }
        _ => point("reads", "(result i32)", reads),
    };
    functions.iter().zip(bodies).for_each(|((name, types), body)| points += &point(name, types, body));
    let text = format!(
        r#"(module
            {imports}
            (memory (export "memory") 2)
            (global $free (mut i32) (i32.const 8192))
            (func $answer (param $length i32) (result i32)
                (i32.store (i32.const 128) (i32.const 256))
                (i32.store (i32.const 132) (local.get $length))
                (i32.store (i32.const 136) (i32.const 256))
                (i32.store (i32.const 140) (i32.const 0))
                (global.set $free (i32.const 8192))
                (i32.const 128))
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (global.get $free)
                (global.set $free (i32.and (i32.add (global.get $free) (i32.add (local.get $size) (i32.const 15)))
                    (i32.const -8))))
            (func (export "jackfield:policy/lifecycle@0.1.0#describe") (result i32) (i32.const 64))
            (func (export "jackfield:policy/lifecycle@0.1.0#configure") (param i32 i32) (result i32) (i32.const 64))
            (func (export "jackfield:policy/lifecycle@0.1.0#snapshot") (param i32) (result i32) (i32.const 64))
            (func (export "jackfield:policy/lifecycle@0.1.0#restore") (param i32 i32 i32) (result i32) (i32.const 64))
            (data (i32.const 1024) "queue://A.>")
            {points})"#
    );
    let mut module = wat::parse_str(&text).expect("the text of the test is a module");
    let mut resolve = Resolve::default();
    let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
    let (package, _) = resolve.push_dir(wit).expect("the WIT package is well formed");
    let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the module takes it");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("the module fits the world")
}

/// Stores a number at the beginning of each of so many elements of a list at 256, `size` bytes each; `count` is the text
/// that gives their number.
pub(crate) fn each(count: &str, size: u32, value: i64, offset: u32) -> String {
    format!(
        "(local.set $left {count})
        (block $done (loop $again
            (br_if $done (i32.eqz (local.get $left)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (i32.store offset={offset} (i32.add (i32.const 256) (i32.mul (local.get $left) (i32.const {size})))
                (i32.const {value}))
            (br $again)))"
    )
}

/// A component of each world that answers and is wrong each time: the world, the component, and what is wrong in words.
pub(crate) fn wrong() -> [(&'static str, Vec<u8>, &'static str); 4] {
    // Slot 77 in the order; no mask.
    let order = "(i32.store (i32.const 256) (i32.const 77)) (drop (call $answer (i32.const 0)))
        (i32.store (i32.const 140) (i32.const 1)) (i32.const 128)";
    // All groups to slot 77.
    let rows = "(i32.load offset=12 (local.get 0))";
    let owners = each(rows, 4, 77, 0) + &format!("(call $answer {rows})");
    // All messages to the one name at 7168, which is that of the data and a pattern.
    let rows = "(local.get 2)";
    let list = "(i32.store (i32.const 7168) (i32.const 1024)) (i32.store (i32.const 7172) (i32.const 11))";
    let replaced = each(rows, 12, 1, 0) + &each(rows, 12, 7168, 4) + &each(rows, 12, 1, 8);
    let replaced = format!("{list} {replaced} (call $answer {rows})");
    // All cross, without the property JMSType: what to do at 7168, the name at 7232.
    let rows = "(local.get 6)";
    let edit = "(i32.store8 (i32.const 7168) (i32.const 1))
        (i32.store (i32.const 7176) (i32.const 7232)) (i32.store (i32.const 7180) (i32.const 7))
        (i32.store (i32.const 7232) (i32.const 0x54534d4a)) (i32.store (i32.const 7236) (i32.const 0x657079))";
    let edited = each(rows, 12, 0, 0) + &each(rows, 12, 7168, 4) + &each(rows, 12, 1, 8);
    let edited = format!("{edit} {edited} (call $answer {rows})");
    let forward = "(memory.fill (i32.const 256) (i32.const 0) (i32.const 1024)) (call $answer (local.get 5))";
    let (none, no_moves) = ("(i32.const 64)", "(call $answer (i32.const 0))");
    [
        ("topic", component(TOPIC, "", none, order), "unknown_slot: 1"),
        ("group", component_of(GROUP, "", none, &[&owners, no_moves]), "has owners that cannot be"),
        ("routing", component(ROUTING, "", none, &replaced), "which has wildcards; name one destination"),
        (
            "network",
            component_of(NETWORK, "", none, &[forward, &edited]),
            "names are not empty and do not begin with JMS",
        ),
    ]
}
