"""Runs in aiosfstream-ng's own environment: listens to an org's change events and prints, as JSON, what it heard.

Arguments: client id, client secret, refresh token.
"""

import asyncio
import json
import sys

from aiohttp import ClientSession
from aiosfstream_ng import Client, RefreshTokenAuthenticator, ReplayOption
from aiosfstream_ng.exceptions import ServerError
from aiosfstream_ng.replay import ReplayMarker

ORG = "https://example.my.salesforce.com"
ALL = "/data/ChangeEvents"
LEADS = "/data/LeadChangeEvent"
WITHIN_SECONDS = 30
login = RefreshTokenAuthenticator(*sys.argv[1:4])
seen = {}


async def call(method, path, token, **more):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with ClientSession() as session, session.request(method, ORG + path, headers=headers, **more) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json() if answer.content_length else None


async def saved(name, **fields):
    made = await call("POST", f"/services/data/v62.0/sobjects/{name}", login.access_token, json=fields)
    return made["id"]


async def heard(client, count=1):
    """So many events: channel, object, kind of change, record."""
    found = []
    for _ in range(count):
        message = await asyncio.wait_for(client.receive(), WITHIN_SECONDS)
        header = message["data"]["payload"]["ChangeEventHeader"]
        found.append([message["channel"], header["entityName"], header["changeType"], *header["recordIds"]])
    return found


async def refusal_of(asked):
    try:
        await asked
    except ServerError as error:
        return [error.error_code, error.error_message]


async def main():
    places = {}  # the client keeps the last event's replay id here, with its time
    async with Client(login, replay=places) as client:
        seen["transport"] = client.connection_type.value
        await client.subscribe(ALL)
        lead = await saved("Lead", LastName="Morgan", Company="Quarry")
        seen["made"] = [lead, await heard(client)]
        path = f"/services/data/v62.0/sobjects/Lead/{lead}"
        await call("PATCH", path, login.access_token, json={"Company": "Quarry Lifts"})
        await call("DELETE", path, login.access_token)
        seen["changed"] = await heard(client, 2)
        seen["no_channel"] = await refusal_of(client.subscribe("/data/Missing__chn"))

        # An administrator ends the session; the client is told so in a message, and logs in again.
        await call("POST", "/services/oauth2/revoke", None, data={"token": login.access_token})
        revoked = login.access_token
        for _ in range(100):
            if login.access_token != revoked:
                break
            await asyncio.sleep(0.1)
        seen["logged_in_again"] = login.access_token != revoked
        account = await saved("Account", Name="One")
        seen["after_the_session"] = [account, await heard(client)]

    missed = await saved("Account", Name="Two")
    async with Client(login, replay=places) as client:
        await client.subscribe(ALL)
        seen["missed"] = [missed, await heard(client)]

    places[ALL] = ReplayMarker("0", 7)
    async with Client(login, replay=places) as client:
        seen["too_old"] = await refusal_of(client.subscribe(ALL))
    async with Client(login, replay=places, replay_fallback=ReplayOption.ALL_EVENTS) as client:
        await client.subscribe(ALL)
        seen["all_that_is_kept"] = await heard(client, 5)

    async with Client(login, replay=ReplayOption.NEW_EVENTS) as client:
        await client.subscribe(LEADS)
        await saved("Account", Name="Three")
        seen["one_object"] = [await saved("Lead", LastName="Lee", Company="Pit"), await heard(client)]
        await client.unsubscribe(LEADS)


asyncio.run(main())
json.dump(seen, sys.stdout)
