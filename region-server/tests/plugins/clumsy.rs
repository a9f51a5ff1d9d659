use std::sync::Arc;

use horizon_plugin_api::*;

/// Fails in every way that leaves the process alive.
#[derive(Default)]
struct Clumsy;

struct Grudge;

impl Drop for Grudge {
    fn drop(&mut self) {
        panic!("even dropping it panics");
    }
}

#[async_trait]
impl SimplePlugin for Clumsy {
    fn name(&self) -> &str {
        "clumsy"
    }

    fn version(&self) -> &str {
        "0"
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.on_core("server_tick", |_: ServerTickEvent| panic!("on a tick")).await?;
        events.on_client("clumsy", "panic", |_: RawClientMessageEvent| panic!("oops")).await?;
        events
            .on_client("clumsy", "panic_any", |_: RawClientMessageEvent| std::panic::panic_any(Grudge))
            .await?;
        events.on_client("clumsy", "fail", |_: RawClientMessageEvent| Err("no".into())).await?;
        events
            .on_client("clumsy", "echo", |cx: &mut Ctx, event: RawClientMessageEvent| {
                cx.emit_plugin("clumsy", "echo", &event.player_id)
            })
            .await?;
        events
            .on_plugin("clumsy", "echo", |cx: &mut Ctx, to: PlayerId| {
                cx.send(to, "clumsy", "echoed", &())?;
                cx.emit_plugin("clumsy", "echo", &to)
            })
            .await?;
        Ok(())
    }

    fn on_init(&mut self, _: &mut Ctx) -> Result<(), PluginError> {
        panic!("from the beginning")
    }

    fn on_shutdown(&mut self, _: &mut Ctx) -> Result<(), PluginError> {
        panic!("to the end")
    }
}

create_simple_plugin!(Clumsy);
