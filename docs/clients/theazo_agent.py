"""Governed agents over HTTP, in one file without dependencies. Python 3.8 or newer.

    from theazo_agent import SecureAgent
    agent = SecureAgent(api_key="tzk_...", base_url="http://127.0.0.1:8700", name="hello")
    agent.deploy("return { hello: input.name }")
    result = agent.run({"name": "Alice"})
    result.raise_for_status()
    print(result.output)

The key may come from THEAZO_API_KEY, the address from THEAZO_BASE_URL.
"""
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

__all__ = ["SecureAgent", "ExecutionResult", "SDKError"]

PRESETS = ("READONLY", "WRITER", "RESEARCHER", "CODER", "ANALYST", "FULL")


class SDKError(RuntimeError):
    """An answer that is no success: code, message, status, details, request_id."""

    def __init__(self, code, message, status=0, details=None, request_id=None):
        super().__init__("%s: %s" % (code, message))
        self.code = code
        self.message = message
        self.status = status
        self.details = details or {}
        self.request_id = request_id


class ExecutionResult:
    """One execution as the server tells it; `raw` is its whole document."""

    def __init__(self, raw):
        self.raw = raw
        self.execution_id = raw.get("execution_id")
        self.agent_id = raw.get("agent_id")
        self.status = raw.get("status")
        self.output = raw.get("output")
        self.error = raw.get("error")
        self.duration_ms = raw.get("duration_ms")
        self.resource_usage = raw.get("resource_usage") or {}
        self.host_call_audit = raw.get("host_call_audit") or []
        self.violation_count = raw.get("violation_count", 0)
        self.was_terminated = raw.get("was_terminated", False)
        self.logs = raw.get("logs") or []
        self.audit_trail_url = raw.get("audit_trail_url")

    @property
    def ok(self):
        return self.status == "completed"

    def raise_for_status(self):
        """RuntimeError unless the execution completed."""
        if not self.ok:
            error = self.error or {}
            raise RuntimeError("execution %s %s: %s" % (self.execution_id, self.status, error.get("message", "")))

    def __repr__(self):
        return "ExecutionResult(execution_id=%r, status=%r)" % (self.execution_id, self.status)


class AuditStream:
    """Iterates (event, data) of a live audit stream; close() leaves it."""

    def __init__(self, response):
        self._response = response

    def __iter__(self):
        event, data = "message", []
        try:
            for raw in self._response:
                line = raw.decode("utf-8").rstrip("\r\n")
                if line == "":
                    if data:
                        yield event, json.loads("\n".join(data))
                    event, data = "message", []
                elif line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[6:] if line.startswith("data: ") else line[5:])
        except (ValueError, OSError):
            # closed from here, or by the other side
            if not self._response.closed:
                raise
        finally:
            self.close()

    def close(self):
        self._response.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Permissions:
    """Names of the presets: the server knows what each allows. Or give a list of scopes."""


for _name in PRESETS:
    setattr(Permissions, _name, _name)


class SecureAgent:
    """An agent by its name. deploy() or configure() makes it known; then it has an id."""

    permissions = Permissions

    def __init__(self, api_key=None, name=None, description=None, base_url=None, version=None,
                 permissions=None, sandbox=None, limits=None, compliance=None, config=None, timeout=330):
        self.api_key = api_key or os.environ.get("THEAZO_API_KEY") or os.environ.get("THETAZERO_API_KEY")
        if not self.api_key:
            raise SDKError("UNAUTHORIZED", "no API key: give api_key or set THEAZO_API_KEY")
        self.base_url = (base_url or os.environ.get("THEAZO_BASE_URL") or "http://127.0.0.1:8700").rstrip("/")
        self.name = name
        self.timeout = timeout
        self.agent_id = None
        self._fields = {"name": name, "description": description, "version": version, "permissions": permissions,
                        "sandbox": sandbox, "limits": limits, "compliance": compliance, "config": config}

    # --- the wire -----------------------------------------------------------

    def _open(self, method, path, body=None, query=None, timeout=None, accept="application/json"):
        if query:
            query = {k: _text(v) for k, v in query.items() if v is not None}
            path += "?" + urllib.parse.urlencode(query) if query else ""
        data = None if body is None else json.dumps(body).encode("utf-8")
        request = urllib.request.Request(self.base_url + path, data=data, method=method, headers={
            "Authorization": "Bearer " + self.api_key, "Content-Type": "application/json", "Accept": accept})
        try:
            return urllib.request.urlopen(request, timeout=timeout or self.timeout)
        except urllib.error.HTTPError as e:
            raise _error(e.code, e.read(), e.headers.get("X-Request-Id")) from None
        except urllib.error.URLError as e:
            raise SDKError("CONNECTION_ERROR", "cannot reach %s: %s" % (self.base_url, e.reason)) from None

    def _call(self, method, path, body=None, query=None, timeout=None):
        with self._open(method, path, body, query, timeout) as response:
            text = response.read()
        return json.loads(text.decode("utf-8")) if text else None

    def _path(self, *rest):
        if self.agent_id is None:
            self.get_agent()
        return "/".join(["/api/v1/sdk/agents", str(self.agent_id)] + [str(r) for r in rest])

    # --- the agent ------------------------------------------------------------

    def deploy(self, entry_code=None, **fields):
        """Registers the agent, or replaces the one of this name. Its record."""
        body = {k: v for k, v in dict(self._fields, entry_code=entry_code, **fields).items() if v is not None}
        agent = self._call("POST", "/api/v1/sdk/agents", body)["agent"]
        self.agent_id, self.name = agent["id"], agent["name"]
        return agent

    def configure(self):
        """Registers the agent with the permissions, limits and template it was made with. Without permissions a new
        agent has none; one that exists keeps those it has."""
        new = not any(agent["name"] == self.name for agent in self.list_agents())
        if new and self._fields["permissions"] is None:
            return self.deploy(status="ready", permissions=[])
        return self.deploy(status="ready")

    def get_agent(self):
        """The agent's record, found by its name where its id is not known yet."""
        if self.agent_id is None:
            for agent in self.list_agents():
                if agent["name"] == self.name:
                    self.agent_id = agent["id"]
                    break
            else:
                raise SDKError("NOT_FOUND", "no agent is named %r: deploy() it first" % self.name, 404)
        return self._call("GET", self._path())["agent"]

    def list_agents(self):
        """All agents of this key's platform."""
        agents, page = [], 1
        while True:
            answer = self._call("GET", "/api/v1/sdk/agents", query={"page": page, "limit": 100})
            agents += answer["agents"]
            if not answer["agents"] or len(agents) >= answer["total"]:
                return agents
            page += 1

    def update(self, **fields):
        """Changes fields: entry_code, config (merged), status, permissions, ..."""
        return self._call("PATCH", self._path(), fields)["agent"]

    def delete(self):
        """The agent and its executions, for good. Audit rows stay."""
        self._call("DELETE", self._path())
        self.agent_id = None

    def stop(self, reason=None):
        """Halts the agent at once; what runs ends."""
        return self._call("POST", "/api/sdk/agents/%s/kill" % self._id(), {"reason": reason} if reason else {})

    def _id(self):
        self._path()
        return self.agent_id

    # --- executions -------------------------------------------------------------

    def run(self, input=None, task=None, data=None):
        """Runs the code with an input, or a task through the model loop. Waits for its end."""
        body = {"task": task, "data": data} if task is not None else {"input": {} if input is None else input}
        body = {k: v for k, v in body.items() if v is not None}
        return ExecutionResult(self._call("POST", self._path("execute"), body))

    def executions(self, page=None, limit=None, status=None):
        """Past executions, newest first."""
        return self._call("GET", self._path("executions"),
                          query={"page": page, "limit": limit, "status": status})["executions"]

    def get_execution(self, execution_id):
        """One execution with its logs and the audit of its host calls."""
        return self._call("GET", self._path("executions", execution_id))["execution"]

    def verify_execution(self, execution_id):
        """Signature, hashes and place in the audit chain: tee_mode, attestation_id, chain_valid."""
        return self._call("GET", "/api/sdk/executions/%s/verify" % execution_id)

    # --- context ----------------------------------------------------------------

    def context(self):
        return self._call("GET", self._path("context"))["context"]

    def set_context(self, key, value):
        self._call("PUT", self._path("context", urllib.parse.quote(key, safe="")), {"value": value})

    def delete_context(self, key):
        self._call("DELETE", self._path("context", urllib.parse.quote(key, safe="")))

    # --- permissions ------------------------------------------------------------

    def request_permission(self, permissions, justification, timeout_ms=120000):
        """Asks the account's owner and waits. SDKError PERMISSION_DENIED, _EXPIRED or _TIMEOUT unless approved."""
        until = time.monotonic() + timeout_ms / 1000.0
        request = self._call("POST", "/api/sdk/permission-requests", {
            "agent_id": self._id(), "permissions": permissions, "justification": justification,
            "timeout_ms": timeout_ms})["request"]
        wait = 0.2
        while request["status"] == "pending" and time.monotonic() < until:
            time.sleep(min(wait, max(0.0, until - time.monotonic())))
            wait = min(wait * 1.5, 2.0)
            request = self._call("GET", "/api/sdk/permission-requests/%s" % request["id"])["request"]
        codes = {"denied": "PERMISSION_DENIED", "expired": "PERMISSION_EXPIRED", "pending": "PERMISSION_TIMEOUT"}
        if request["status"] in codes:
            raise SDKError(codes[request["status"]], request.get("reason") or "the request was not approved",
                           details=request)
        return request

    # --- audit ------------------------------------------------------------------

    def get_audit_log(self, **query):
        """Events: from_, to, actionTypes (list), violationsOnly, limit, executionId, cursor."""
        query.setdefault("agentId", self.agent_id)
        return self._call("GET", "/api/sdk/audit", query=_audit_query(query))

    def verify_audit_record(self, record_id):
        return self._call("GET", "/api/sdk/audit/%s/verify" % record_id)

    def export_audit_log(self, format="csv", **query):
        """The audit log as CSV text, or as a list with format "json"."""
        accept = "text/csv" if format == "csv" else "application/json"
        with self._open("GET", "/api/sdk/audit/export", query=dict(_audit_query(query), format=format),
                        accept=accept) as response:
            text = response.read().decode("utf-8")
        return text if format == "csv" else json.loads(text)

    def stream_audit_log(self, executionId=None, agentId=None, since=None):
        """Events as they happen: iterate (event, data); close() leaves."""
        return AuditStream(self._open("GET", "/api/sdk/audit/stream", accept="text/event-stream", timeout=60, query={
            "executionId": executionId, "agentId": agentId, "since": since}))


def _text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, (list, tuple)) else str(value)


def _audit_query(query):
    return {("from" if k == "from_" else k): v for k, v in query.items()}


def _error(status, body, request_id):
    try:
        answer = json.loads(body.decode("utf-8"))
        error = answer["error"]
        return SDKError(error["code"], error["message"], status, error.get("details"), answer.get("requestId"))
    except (ValueError, KeyError, TypeError):
        return SDKError("HTTP_%d" % status, "the answer has no error document", status, None, request_id)
