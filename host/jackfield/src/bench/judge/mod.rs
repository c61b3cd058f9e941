//! stub
pub(crate) mod kill;
pub(crate) fn run(_: &super::options::Load, _: &super::options::JudgeArgs) -> anyhow::Result<std::process::ExitCode> { unimplemented!() }
