"""`Gateway`: one app from a configuration, which takes over another one at work."""

from __future__ import annotations

import gc
import logging
import os
import traceback
import weakref
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from console_kit import PASSWORD, bearer, log_in
from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.asgi.types import Receive, Scope, Send
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.gateway.config import Config
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.pool import SQLiteKeyStore
from ds2api_asgi.testing import Driver
from gateways import HELLO, chat, config_of, demo, gateway_of, table, until

pytestmark = pytest.mark.anyio
KEYS = ("sk-one-000000000000", "sk-two-000000000000", "sk-three-0000000000")


async def test_every_protocol_is_answered_by_an_upstream_of_one() -> None:
    async with demo() as url, gateway_of(table("demo", url, keys=KEYS) + '[router]\ndefault = "demo"') as gateway:
        said = (await chat(gateway, "demo/demo-small")).json()["choices"][0]["message"]["content"]
        driver = Driver(gateway)
        messages = {"model": "demo/demo-small", "max_tokens": 100, "messages": HELLO}
        assert (await driver.request("POST", "/v1/messages", json=messages)).json()["content"][0]["text"] == said
        gemini = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
        answer = await driver.request("POST", "/v1beta/models/demo/demo-small:generateContent", json=gemini)
        assert answer.json()["candidates"][0]["content"]["parts"][0]["text"] == said
        local = {"model": "demo/demo-small", "messages": HELLO, "stream": False}
        assert (await driver.request("POST", "/api/chat", json=local)).json()["message"]["content"] == said
        asked = {"model": "demo/demo-small", "input": "Hello"}
        answer = await driver.request("POST", "/v1/responses", json=asked)
        assert answer.json()["output"][0]["content"][0]["text"] == said


async def test_pages_stand_beside_the_protocols() -> None:
    async with demo() as url, gateway_of(table("demo", url)) as gateway:
        driver = Driver(gateway)
        assert (await driver.request("GET", "/health")).json() == {"status": "ok"}
        assert (await driver.request("GET", "/ready")).status == 200
        assert (await driver.request("HEAD", "/ready")).body == b""
        assert "anthropic" in (await driver.request("GET", "/")).json()["endpoints"]
        assert (await driver.request("POST", "/health")).status == 405
        assert (await driver.request("GET", "/elsewhere")).status == 404
        gateway.drain()
        assert (await driver.request("GET", "/ready")).status == 503
        assert (await driver.request("GET", "/health")).status == 200
    assert (await Driver(gateway).request("GET", "/ready")).status == 503


async def test_a_changed_configuration_is_served_and_the_old_one_ends_what_it_has() -> None:
    async with demo(DemoModel(pace=0.02)) as url, demo() as other:
        text = table("demo", url, keys=KEYS[:1])
        async with gateway_of(text) as gateway:
            old = gateway.pools["demo"]
            async with Driver(gateway).open(
                "POST",
                "/v1/chat/completions",
                json={"model": "demo/demo-small", "messages": HELLO, "stream": True},
            ) as stream:
                first = await anext(aiter(stream))
                assert await gateway.replace(config_of(table("next", other, keys=KEYS[:1])))
                assert gateway.generation == 2
                assert set(gateway.pools) == {"next"}
                assert (await chat(gateway, "next/demo-small")).status == 200
                assert (await chat(gateway, "demo/demo-small")).status == 404
                assert gateway.running == 1
                body = first + b"".join([chunk async for chunk in stream])
            assert b"[DONE]" in body
            await until(lambda: gateway.running == 0)
            assert (await old.snapshot())[0].in_flight == 0


async def test_a_configuration_that_cannot_work_changes_nothing() -> None:
    async with demo() as url, gateway_of(table("demo", url, keys=KEYS)) as gateway:
        before = gateway.config
        with pytest.raises(ConfigurationError, match=r"\[upstreams.demo\] without a preset"):
            await gateway.replace(config_of('[upstreams.demo]\nprotocol = "anthropic"'))
        with pytest.raises(ConfigurationError, match=r"\[models.smart\]|\[models\]"):
            await gateway.replace(config_of(table("demo", url) + '[models.smart]\ntargets = ["nobody/x"]'))
        assert gateway.config is before
        assert gateway.generation == 1
        assert (await chat(gateway, "demo/demo-small")).status == 200


async def test_a_file_is_followed_and_a_bad_one_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "gateway.toml"
    quick = "[reload]\ninterval = 0.01\n"
    async with demo() as url:
        file.write_text(table("demo", url, keys=KEYS) + quick)
        gateway = Gateway.from_toml(file)
        async with running(gateway):
            file.write_text("[upstreams.demo]\npreset = 3\n" + quick)
            await until(lambda: gateway.reload_error is not None)
            assert (await chat(gateway, "demo/demo-small")).status == 200
            file.write_text(table("demo", url, keys=KEYS[:2]) + quick)
            await until(lambda: gateway.generation == 2)
            assert gateway.reload_error is None
            assert len(await gateway.pools["demo"].snapshot()) == 2
    told = [record.getMessage() for record in caplog.records if record.name == "ds2api_asgi.gateway"]
    assert any("was not taken over" in line and "preset" in line for line in told)
    assert not any(key in line for line in told for key in KEYS)


async def test_what_nobody_thought_of_stops_no_gateway(caplog: pytest.LogCaptureFixture) -> None:
    """Not even what is no error of configurations; what it says may repeat a secret."""
    fails = True

    def read() -> Config:
        if fails:
            raise ValueError(KEYS[0])
        return config_of(table("demo", url, keys=KEYS[1:]))

    async with demo() as url:
        gateway = Gateway(config_of(table("demo", url, keys=KEYS)), read=read)
        async with running(gateway):
            with pytest.raises(ConfigurationError, match="ValueError") as raised:
                await gateway.reload()
            assert gateway.reload_error == str(raised.value)
            assert KEYS[0] not in "".join(traceback.format_exception(raised.value)) + caplog.text
            assert (await chat(gateway, "demo/demo-small")).status == 200
            fails = False
            assert await gateway.reload()
            assert gateway.reload_error is None


async def test_an_unchanged_upstream_keeps_its_very_parts() -> None:
    async with demo() as url, demo() as other:
        text = table("one", url, keys=KEYS) + table("two", other, keys=KEYS)
        async with gateway_of(text) as gateway:
            one, two = gateway.pools["one"], gateway.pools["two"]
            await gateway.replace(config_of(table("one", url, keys=KEYS) + table("two", other, keys=KEYS[:2])))
            assert gateway.pools["one"] is one
            assert gateway.pools["two"] is not two
            assert not await gateway.replace(gateway.config)


async def test_the_health_of_keys_goes_over() -> None:
    dead, weary, good = "sk-dead-000000000000+401", "sk-weary-00000000000+429:600", "sk-good-000000000000"
    model = DemoModel(keys=[key.partition("+")[0] for key in (dead, weary, good)])
    more = 'strategy = "round-robin"'
    async with demo(model) as url:
        text = table("demo", url, keys=(dead, weary, good), more=more)
        async with gateway_of(text) as gateway:
            for _ in range(4):
                assert (await chat(gateway, "demo/demo-small")).status == 200
            before = {report.alias: report for report in await gateway.pools["demo"].snapshot()}
            assert sorted(report.state for report in before.values()) == ["active", "cooling", "disabled"]
            fresh = "sk-fresh-00000000000"
            await gateway.replace(config_of(table("demo", url, keys=(fresh, good, weary, dead))))
            after = {report.alias: report for report in await gateway.pools["demo"].snapshot()}
            assert len(after) == 4
            for alias, report in before.items():
                assert after[alias].state is report.state
                assert (after[alias].leased, after[alias].failed) == (report.leased, report.failed)
            await gateway.replace(config_of(table("demo", url, keys=(fresh, good))))
            assert len(await gateway.pools["demo"].snapshot()) == 2


async def test_exchanges_of_the_old_configuration_count_against_the_new_one() -> None:
    async with demo(DemoModel(pace=0.02)) as url:
        bound = "max_concurrency = 1\nqueue_timeout = 0"
        async with gateway_of(table("demo", url, keys=KEYS[:1], more="max_concurrency = 2")) as gateway:
            async with Driver(gateway).open(
                "POST",
                "/v1/chat/completions",
                json={"model": "demo/demo-small", "messages": HELLO, "stream": True},
            ) as stream:
                await anext(aiter(stream))
                await gateway.replace(config_of(table("demo", url, keys=KEYS[:1], more=bound)))
                assert [report.in_flight for report in await gateway.pools["demo"].snapshot()] == [1]
                assert (await chat(gateway, "demo/demo-small")).status in (429, 503)
                async for _ in stream:
                    pass
            await until(lambda: gateway.running == 0)
            assert (await chat(gateway, "demo/demo-small")).status == 200


async def test_a_start_that_fails_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"\[upstreams.demo\]"):
        Gateway(config_of('[upstreams.demo]\nbase_url = "http://127.0.0.1:1"'))


async def test_two_hundred_reloads_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with demo() as url, gateway_of(table("demo", url, keys=KEYS)) as gateway:
        sizes: list[tuple[int, int]] = []
        for number in range(200):
            text = table("demo", url, keys=KEYS, more=f"total_timeout = {300 + number}")
            await gateway.replace(config_of(text))
            assert (await chat(gateway, "demo/demo-small")).status == 200
            if number in (20, 199):
                await until(lambda: not gateway._retired)
                sizes.append((len(os.listdir("/proc/self/fd")), _tasks()))
        assert sizes[1][0] <= sizes[0][0] + 2
        assert sizes[1][1] <= sizes[0][1] + 1


def _tasks() -> int:
    try:
        return len(anyio.get_running_tasks())
    except RuntimeError:
        return 0


async def test_breakers_and_counters_go_over_while_targets_stay() -> None:
    async with demo() as url:
        both = table("one", "http://127.0.0.1:9") + table("two", url)
        rules = (
            '[models.smart]\ntargets = ["one/demo-small", { upstream = "two", model = "demo-small", priority = 1 }]\n'
        )
        text = both + rules + "[failover.breaker]\nconsecutive = 2\nrest = 600\n[metrics]\n"
        async with gateway_of(text) as gateway:
            for _ in range(3):
                assert (await chat(gateway, "smart")).status == 200
            before = [one for one in gateway.breakers() if one.state == "open"]
            assert [(one.target, one.model) for one in before] == [("one", None)]
            await gateway.replace(config_of(text + '[models.more]\ntargets = ["two"]\n'))
            assert [one.target for one in gateway.breakers() if one.state == "open"] == ["one"]
            assert (await chat(gateway, "smart")).status == 200
            assert [one.target for one in gateway.breakers() if one.state == "open"] == ["one"]
            scraped = (await Driver(gateway).request("GET", "/metrics")).body.decode()
            requests = [line for line in scraped.splitlines() if line.startswith("ds2api_requests_total{")]
            assert [line.rpartition(" ")[2] for line in requests] == ["4.0"]
            assert 'ds2api_breaker_state{model="",part="gateway",state="open",target="one"} 1.0' in scraped
            await gateway.replace(config_of(text.replace("127.0.0.1:9", "127.0.0.1:10")))
            assert not [one for one in gateway.breakers() if one.state == "open"]


async def test_responses_limits_and_the_journal_go_over() -> None:
    async with demo() as url:
        access = "[access]\nkeys = [{ key = 'sk-client-0123456789', limits = { rpm = 2 } }]\n"
        text = table("one", url) + "[responses]\n" + access
        headers = {"authorization": "Bearer sk-client-0123456789"}
        async with gateway_of(text) as gateway:
            driver = Driver(gateway)
            document = {"model": "one/demo-small", "input": "Hello"}
            first = (await driver.request("POST", "/v1/responses", json=document, headers=headers)).json()
            await gateway.replace(config_of(text + '[models.more]\ntargets = ["one"]\n'))
            again = {**document, "previous_response_id": first["id"]}
            assert (await driver.request("POST", "/v1/responses", json=again, headers=headers)).status == 200
            assert (await driver.request("POST", "/v1/responses", json=again, headers=headers)).status == 429
            assert len(gateway.journal) == 3
            assert (await driver.request("POST", "/v1/responses", json=again)).status == 401


async def test_a_session_that_was_ended_stays_so_when_the_console_changes() -> None:
    console = '[console]\npassword = "correct-horse-battery"\n'
    async with demo() as url, gateway_of(table("one", url) + console) as gateway:
        driver = Driver(gateway)
        kept, _ = await log_in(gateway, root="/console")
        headers, token = await log_in(gateway, root="/console")
        form = {"content-type": "application/x-www-form-urlencoded", **headers}
        left = await driver.request("POST", "/console/logout", headers=form, body=f"csrf={token}".encode())
        assert left.status == 303
        await gateway.replace(config_of(table("one", url) + console + "journal = 10\n"))
        assert (await driver.request("GET", "/console/api/state", headers=headers)).status == 401
        assert (await driver.request("GET", "/console/api/state", headers=kept)).status == 200


@pytest.mark.parametrize("after", ['[console]\npassword = "another-horse-battery"\n', ""], ids=["changed", "gone"])
async def test_pages_that_look_on_leave_a_console_that_another_configuration_has_not(after: str) -> None:
    async with (
        demo() as url,
        gateway_of(table("one", url) + f'[console]\npassword = "{PASSWORD}"\n') as gateway,
        Driver(gateway).open("GET", "/console/api/events", headers=bearer()) as response,
    ):
        await anext(response)
        await gateway.replace(config_of(table("one", url) + after))
        with anyio.fail_after(10):
            async for _ in response:
                pass
        assert response.complete


async def test_a_models_own_transforms_are_for_that_model_alone() -> None:
    async with demo() as url:
        text = (
            table("one", url)
            + '[models.thinker]\ntargets = ["one/demo-small"]\n'
            + '[[models.thinker.transforms]]\ntype = "think-tags"\nopening = "You wrote: "\nclosing = ". "\n'
            + '[models.plain]\ntargets = ["one/demo-small"]\n'
        )
        async with gateway_of(text) as gateway:
            plain = (await chat(gateway, "plain")).json()["choices"][0]["message"]
            thinker = (await chat(gateway, "thinker")).json()["choices"][0]["message"]
            assert "reasoning_content" not in plain
            assert plain["content"] == f"You wrote: {thinker['reasoning_content']}. {thinker['content']}"
            assert set((await Driver(gateway).request("GET", "/v1/models")).json()["data"][0]) >= {"id"}


async def test_opaque_state_goes_back_to_its_upstream_only() -> None:
    async with demo() as url:
        text = table('"one.eu"', url) + table("two", url) + '[carry]\nsecret = "signs-it"\n'
        async with gateway_of(text) as gateway:
            origins = {name: line.translator()._settings.carriage for name, line in gateway._current.lines.items()}
            assert len({carriage.minter.token for carriage in origins.values()}) == 2
            assert {carriage.secret for carriage in origins.values()} == {b"signs-it"}
            assert len({id(carriage.store) for carriage in origins.values()}) == 1


async def test_the_console_outlives_reloads_and_shows_the_new_pools() -> None:
    async with demo() as url:
        text = table("one", url, keys=KEYS[:1]) + '[console]\npassword = "a-long-enough-password"\n'
        headers = {"authorization": "Bearer a-long-enough-password"}
        async with gateway_of(text) as gateway:
            driver = Driver(gateway)
            await chat(gateway, "one/demo-small")
            await gateway.replace(config_of(text + table("two", url, keys=KEYS[1:])))
            state = (await driver.request("GET", "/console/api/state", headers=headers)).json()
            assert [pool["name"] for pool in state["pools"]] == ["one", "two"]
            assert state["generation"] == 2
            assert len(state["recent"]) == 1
            assert (await driver.request("GET", "/console/api/state")).status in (401, 403)


async def test_a_gateway_that_ends_takes_over_nothing() -> None:
    async with demo() as url, gateway_of(table("one", url)) as gateway:
        gateway.drain()
        with pytest.raises(ConfigurationError, match="about to end"):
            await gateway.replace(config_of(table("two", url)))


async def test_what_nobody_foresaw_in_a_file_changes_nothing_and_is_followed_still(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    quick = "[reload]\ninterval = 0.01\n"
    async with demo() as url:
        file.write_text(table("demo", url) + quick)
        tried: list[int] = []

        def amend(config: Config) -> Config:
            tried.append(1)
            if len(tried) == 2:
                raise RecursionError("sk-secret")
            return config

        gateway = Gateway.from_toml(file, amend=amend)
        async with running(gateway):
            file.write_text(table("demo", url, keys=KEYS) + quick)
            await until(lambda: gateway.reload_error is not None)
            assert gateway.reload_error == "it could not be put together (RecursionError)"
            assert (await chat(gateway, "demo/demo-small")).status == 200
            file.write_text(table("demo", url, keys=KEYS[:2]) + quick)
            await until(lambda: gateway.generation == 2)


async def test_an_end_that_begins_within_a_reload_finds_its_parts() -> None:
    for ticks in range(12):
        async with demo() as url, anyio.create_task_group() as group:
            gateway = Gateway(config_of(table("one", url)))

            async def take_over(gateway: Gateway = gateway, url: str = url) -> None:
                with suppress(ConfigurationError):
                    await gateway.replace(config_of(table("two", url) + "[responses]\n"))

            async with running(gateway):
                group.start_soon(take_over)
                for _ in range(ticks):
                    await anyio.lowlevel.checkpoint()
                gateway.drain()
                await until(lambda gateway=gateway: not gateway._lock.locked())
                for name in gateway.config.upstreams:
                    assert (await chat(gateway, f"{name}/demo-fail-500!1")).status == 500, ticks


async def test_an_end_within_a_reload_leaves_nothing_open() -> None:
    for ticks in range(16):
        async with demo() as url, anyio.create_task_group() as group:
            gateway = Gateway(config_of(table("one", url)))
            generations = [gateway._current]

            async def take_over(gateway: Gateway = gateway, url: str = url) -> None:
                with suppress(ConfigurationError):
                    await gateway.replace(config_of(table("two", url) + "[responses]\n"))

            async with running(gateway):
                group.start_soon(take_over)
                for _ in range(ticks):
                    await anyio.lowlevel.checkpoint()
            generations.append(gateway._current)
            opened = [one for generation in generations for one in generation.resources if one._end is not None]
            assert not opened, ticks


async def test_generations_that_end_together_let_go_of_what_they_shared(tmp_path: Path) -> None:
    store = f'[store]\ntype = "sqlite"\npath = "{tmp_path / "keys.db"}"\n'
    async with demo() as url, gateway_of(table("one", url, keys=KEYS) + store) as gateway:
        assert (await chat(gateway, "one/demo-small")).status == 200
        end = anyio.Event()

        async def wait(scope: Scope, receive: Receive, send: Send) -> None:
            await end.wait()

        async with anyio.create_task_group() as group:
            for number in range(2):
                generation = gateway._current
                group.start_soon(generation.serve, wait, {}, None, None)
                await anyio.wait_all_tasks_blocked()
                more = table("two", url, keys=KEYS, more=f"max_queue = {number}") if number == 0 else ""
                kept = table("one", url, keys=KEYS) if number == 0 else table("three", url)
                await gateway.replace(config_of(kept + more + store))
            shared = generation.lines["one"]
            end.set()
        await until(lambda: not gateway._retired)
        assert isinstance(shared.store, SQLiteKeyStore)
        assert shared.store._file._database is None


async def test_the_file_of_responses_is_closed_with_the_last_generation_that_keeps_them(tmp_path: Path) -> None:
    responses = f'[responses]\ntype = "sqlite"\npath = "{tmp_path / "responses.db"}"\n'
    log = tmp_path / "responses.db-wal"  # goes when the file is closed
    async with demo() as url:
        async with gateway_of(table("one", url) + responses) as gateway:
            document = {"model": "one/demo-small", "input": "Hello"}
            assert (await Driver(gateway).request("POST", "/v1/responses", json=document)).status == 200
            assert log.exists()
            await gateway.replace(config_of(table("one", url)))
            await until(lambda: not log.exists())
            await gateway.replace(config_of(table("one", url) + responses))
            assert (await Driver(gateway).request("POST", "/v1/responses", json=document)).status == 200
            assert log.exists()
        assert not log.exists()


async def test_a_gateway_works_without_a_lifespan_and_can_be_started_again() -> None:
    async with demo() as url:
        gateway = Gateway(config_of(table("one", url)))
        for _ in range(2):
            async with running(gateway):
                assert (await chat(gateway, "one/demo-small")).status == 200
        await gateway.replace(config_of(table("two", url)))
        async with running(gateway):
            assert (await chat(gateway, "two/demo-small")).status == 200


async def test_replaced_generations_are_let_go() -> None:
    async with demo() as url, gateway_of(table("one", url, keys=KEYS)) as gateway:
        first = weakref.ref(gateway._current)
        for number in range(3):
            await gateway.replace(config_of(table("one", url, keys=KEYS, more=f"max_queue = {number}")))
            assert (await chat(gateway, "one/demo-small")).status == 200
        await until(lambda: not gateway._retired)
        gc.collect()
        assert first() is None


async def test_what_lingers_too_long_on_an_old_configuration_ends_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ds2api_asgi.gateway.gateway.LINGER", 0.05)
    async with demo(DemoModel(pace=0.2)) as url, demo() as other, gateway_of(table("one", url)) as gateway:
        document = {"model": "one/demo-small", "messages": HELLO, "stream": True}
        async with Driver(gateway).open("POST", "/v1/chat/completions", json=document) as stream:
            await anext(aiter(stream))
            await gateway.replace(config_of(table("one", other)))
            rest = b"".join([chunk async for chunk in stream])
        assert b'"error"' in rest
        await until(lambda: not gateway._retired)
        assert (await chat(gateway, "one/demo-small")).status == 200
