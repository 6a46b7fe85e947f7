"""What an answer of `/graphql` must be, whatever the query: 200, JSON with `data` or `errors`, and no error that is the service's own
fault. A query that asks for what may not be asked is told so in `errors`; that is an answer, where the tool's own check sees a failure."""

import schemathesis

OURS = {"internal", "unavailable", "timeout", "storage-full"}


@schemathesis.check
def graphql_answer(ctx, response, case):
    assert response.status_code == 200, f"{response.status_code}: a GraphQL request is answered 200"
    assert response.headers["content-type"] == ["application/json"], response.headers["content-type"]
    told = response.json()
    assert told and set(told) <= {"data", "errors", "extensions"}, f"not a GraphQL answer: {told}"
    for error in told.get("errors", []):
        assert error.get("message"), f"an error without a message: {error}"
        code = error.get("extensions", {}).get("code")
        assert code not in OURS, f"the service failed: {error}"
