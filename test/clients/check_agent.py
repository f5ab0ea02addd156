"""Drives docs/clients/theazo_agent.py against a gateway; prints "ok NAME" or "not ok NAME" for each check.

Address and key come from THEAZO_BASE_URL and THEAZO_API_KEY.
"""
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "clients"))
from theazo_agent import SDKError, SecureAgent  # noqa: E402


def check(name, got, want):
    print("ok" if got == want else "not ok (%r, wanted %r)" % (got, want), name, flush=True)


def fails(name, code, call):
    try:
        call()
        check(name, "no error", code)
    except SDKError as e:
        check(name, e.code, code)


agent = SecureAgent(name="hello-world", description="Simplest possible agent")
check("deploy answers the record", agent.deploy(entry_code="""
    await thetazero.log("Hello from the sandbox!");
    await thetazero.write_result({ message: "Hello, " + (input.name || "world") + "!" });
""")["status"], "ready")
result = agent.run(input={"name": "Alice"})
result.raise_for_status()
check("output", result.output, {"message": "Hello, Alice!"})
check("resource usage", sorted(result.resource_usage), ["api_calls", "cpu_ms", "host_calls", "memory_mb"])
check("logs", [line["message"] for line in result.logs], ["Hello from the sandbox!"])
check("executions", [e["status"] for e in agent.executions(limit=5)], ["completed"])
check("executions of a status", agent.executions(status="failed"), [])
check("get_execution", sorted(c["fn"] for c in agent.get_execution(result.execution_id)["host_call_audit"]), ["log", "write_result"])
check("get_agent", "thetazero.log" in agent.get_agent()["entry_code"], True)
check("list_agents", [a["name"] for a in agent.list_agents()], ["hello-world"])
check("update merges config", agent.update(config={"memory_limit_mb": 64})["config"]["memory_limit_mb"], 64)
check("another object finds it by name", SecureAgent(name="hello-world").get_agent()["id"], agent.agent_id)

agent.update(entry_code="throw new Error('no')")
failed = agent.run()
check("a failed execution is an answer", (failed.status, failed.error["code"]), ("failed", "EXECUTION_ERROR"))
try:
    failed.raise_for_status()
    check("raise_for_status raises", False, True)
except RuntimeError as e:
    check("raise_for_status raises", "no" in str(e), True)

agent.set_context("a/b c", {"x": 1})
check("context", agent.context(), {"a/b c": {"x": 1}})
agent.delete_context("a/b c")
check("context deleted", agent.context(), {})


def decide(what):
    while True:
        waiting = agent._call("GET", "/api/sdk/permission-requests", query={"status": "pending"})["requests"]
        if waiting:
            return agent._call("POST", "/api/sdk/permission-requests/%d/%s" % (waiting[0]["id"], what), {"reason": "so"})
        time.sleep(0.05)


threading.Thread(target=decide, args=("approve",)).start()
check("request_permission approved", agent.request_permission({"allow_network": True}, "weather", 20000)["status"], "approved")
threading.Thread(target=decide, args=("deny",)).start()
fails("request_permission denied", "PERMISSION_DENIED", lambda: agent.request_permission({"max_api_calls_per_run": 60}, "more", 20000))
fails("request_permission without an answer", "PERMISSION_TIMEOUT",
      lambda: agent.request_permission({"max_api_calls_per_run": 60}, "more", 1000))

with agent.stream_audit_log(agentId=agent.agent_id) as stream:
    told = iter(stream)
    check("stream_audit_log begins", next(told)[0], "connected")
    agent.run()
    event, row = next(told)
    check("stream_audit_log tells what is done", (event, row["agent_id"], len(row["hash"])), ("audit", agent.agent_id, 64))

log = agent.get_audit_log(actionTypes=["permission_approved", "permission_refused"], limit=10)
check("get_audit_log", [e["action_type"] for e in log["events"]][-2:], ["permission_refused", "permission_approved"])
check("export_audit_log as csv", agent.export_audit_log("csv").split(",")[0], "id")
check("export_audit_log as json", len(agent.export_audit_log("json")) > 5, True)
until = time.monotonic() + 60
proof = agent.verify_execution(result.execution_id)
while not proof["chain_valid"] and time.monotonic() < until:
    time.sleep(0.2)
    proof = agent.verify_execution(result.execution_id)
check("verify_execution", (proof["chain_valid"], proof["attestation_id"][:4]), (True, "att_"))
check("verify_audit_record", agent.verify_audit_record(log["events"][-1]["id"])["chain_valid"], True)
task = SecureAgent(name="tasks", permissions=SecureAgent.permissions.READONLY)
check("configure", task.configure()["status"], "ready")
check("configure without permissions grants none", SecureAgent(name="bare").configure()["permissions"], [])
check("configure again keeps them", SecureAgent(name="tasks").configure()["permissions"], ["compute:read", "data:read", "storage:read"])

check("stop", agent.stop("suspicious")["agent"]["status"], "halted")
fails("a halted agent does not run", "AGENT_HALTED", agent.run)
agent.delete()
fails("deleted", "NOT_FOUND", agent.get_agent)
fails("a wrong key", "UNAUTHORIZED", SecureAgent(api_key="tzk_wrong", name="x").list_agents)
fails("nobody there", "CONNECTION_ERROR", SecureAgent(base_url="http://127.0.0.1:1", name="x").list_agents)
