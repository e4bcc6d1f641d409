"""A minimal client of Punica's NATS API. It needs nats-py alone: pip install "nats-py[nkeys]".

Run as a program it streams one answer:

    python punica_client.py --url nats://127.0.0.1:4222 --creds acme.creds --tenant acme \\
        --key pk_... --model french "The gray horse keeps my ball."
"""

import argparse
import asyncio
import json
import uuid

import nats

# A gateway says every five seconds that a call is alive.
SILENCE_SECONDS = 20


class PunicaError(Exception):
    """What the gateway refused, or how it failed; `code` is one of docs/failures.md."""

    def __init__(self, code, message, param=None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.param = param


class Client:
    """One tenant with one API key."""

    def __init__(self, connection, tenant, api_key):
        self._connection = connection
        self._tenant = tenant
        self._api_key = api_key

    @classmethod
    async def connect(cls, url, creds, tenant, api_key):
        """`creds` is the file that createNatsCredential returned."""
        prefix = f"_INBOX.t_{tenant}"
        connection = await nats.connect(url, user_credentials=creds, inbox_prefix=prefix)
        return cls(connection, tenant, api_key)

    async def close(self):
        await self._connection.drain()

    async def models(self):
        """The base model and the adapters that the key may use."""
        reply = await self._connection.request(
            self._subject("models"), json.dumps({"apiKey": self._api_key}).encode(), timeout=10
        )
        answer = json.loads(reply.data)
        if answer["type"] == "error":
            raise _error_of(answer)
        return answer["data"]

    def chat(self, body):
        """The events of an answer, in order; the last is `done`. Leaving the loop ends the call."""
        return self._generate("chat", body)

    def complete(self, body):
        return self._generate("completion", body)

    async def _generate(self, kind, body):
        call_id = str(uuid.uuid4())
        inbox = self._connection.new_inbox()
        events = await self._connection.subscribe(inbox)
        is_over = False
        try:
            call = {"type": kind, "id": call_id, "apiKey": self._api_key, "body": body}
            await self._connection.publish(
                self._subject("generate"), json.dumps(call).encode(), reply=inbox
            )
            async for event in _in_order(events):
                is_over = event["type"] in ("done", "error")
                if event["type"] == "error":
                    raise _error_of(event)
                if event["type"] != "alive":
                    yield event
                if is_over:
                    return
        finally:
            await events.unsubscribe()
            if not is_over:
                abort = {"id": call_id, "apiKey": self._api_key}
                await self._connection.publish(self._subject("abort"), json.dumps(abort).encode())

    def _subject(self, call):
        return f"punica.v1.{self._tenant}.{call}"


async def _in_order(events):
    """Events by `seq`: what was there before is dropped, what comes too early waits."""
    early = {}
    next_seq = 0
    while True:
        try:
            message = await events.next_msg(timeout=SILENCE_SECONDS)
        except nats.errors.TimeoutError:
            raise PunicaError("unavailable", "Nothing came from the gateway; try again") from None
        if message.headers is not None and message.headers.get("Status") == "503":
            raise PunicaError("unavailable", "No gateway listens at present; try again")
        event = json.loads(message.data)
        if event["seq"] >= next_seq:
            early[event["seq"]] = event
        while next_seq in early:
            yield early.pop(next_seq)
            next_seq += 1


def _error_of(event):
    error = event["error"]
    return PunicaError(error["code"], error["message"], error.get("param"))


async def main():
    parser = argparse.ArgumentParser(description="Streams one answer over NATS.")
    for name in ("--url", "--creds", "--tenant", "--key", "--model"):
        parser.add_argument(name, required=True)
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("prompt")
    options = parser.parse_args()
    client = await Client.connect(options.url, options.creds, options.tenant, options.key)
    body = {
        "model": options.model,
        "messages": [{"role": "user", "content": options.prompt}],
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
    }
    try:
        async for event in client.chat(body):
            if event["type"] == "delta":
                print(event["text"], end="", flush=True)
        print()
    except PunicaError as error:
        raise SystemExit(str(error)) from None
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())
