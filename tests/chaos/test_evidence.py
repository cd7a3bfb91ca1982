"""What a rehearsal reads of a home."""

from chaos.evidence import read_ours

from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider, completion, row


async def test_each_request_is_one_row_whether_it_is_kept_alone_or_with_its_neighbours(tmp_path):
    """Record 7 fails; of the others nothing is to be said that is not true of all."""

    def answer(custom_id, body, times):
        if custom_id.endswith("_7"):
            return row(custom_id, status=400, body={"error": {"message": "no", "code": "invalid_request"}})
        return row(custom_id, body=completion("fine"))

    rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(40)]
    desk = Desk(tmp_path, ScriptedProvider(answer), rows=rows)
    await desk.drive()

    found = {each["seq"]: each for each in read_ours(desk.home / "nightmail.db").requests}

    assert sorted(found) == list(range(1, 41))
    assert found.pop(7)["state"] == "failed"
    assert {(each["state"], each["attempts"], each["batch_no"]) for each in found.values()} == {
        ("succeeded", 1, 1)
    }
