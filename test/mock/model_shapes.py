"""What a model says, in the shapes of the three protocols and their dialects.

An answer is a plain dict:
	text        string or list of strings (the pieces it is streamed in)
	reasoning   string
	tools       list of {"name", "arguments" (object, or text as it stands), "id"?}
	stop        end tool_use max_tokens stop_sequence pause refusal context content_filter other
	refusal     {"category", "explanation"}
	usage       {"input", "output", "cache_read", "cache_write", "reasoning"}
Everything may be left out. Standard library only.
"""

import json

PIECE = 12  # characters in a delta, unless told otherwise


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pieces(text, size):
    if isinstance(text, list):
        return text
    return [text[i:i + size] for i in range(0, len(text), size)]


def whole(text):
    return "".join(text) if isinstance(text, list) else text


def arguments_text(tool):
    value = tool.get("arguments", {})
    return value if isinstance(value, str) else compact(value)


class Answer:
    """An answer with everything filled in that was left out."""

    def __init__(self, plan, call, prompt_bytes, model):
        self.call = call
        self.model = model
        self.text = plan.get("text", "")
        self.reasoning = plan.get("reasoning", "")
        self.tools = [dict(t) for t in plan.get("tools", [])]
        for k, tool in enumerate(self.tools):
            tool.setdefault("id", "call_%s_%d" % (call, k))
        self.stop = plan.get("stop") or ("tool_use" if self.tools else "end")
        self.refusal = plan.get("refusal") or ({} if self.stop != "refusal" else {"category": None, "explanation": "no"})
        self.piece = plan.get("piece", PIECE)
        self.usage = {"input": (prompt_bytes + 3) // 4, "output": (len(whole(self.text)) + 3) // 4 + 8 * len(self.tools),
                      "cache_read": 0, "cache_write": 0, "reasoning": (len(self.reasoning) + 3) // 4}
        self.usage.update(plan.get("usage") or {})
        self.no_usage = plan.get("usage", {}) is None


# ---------------------------------------------------------------------------
# Anthropic Messages
# ---------------------------------------------------------------------------
class Messages:
    name = "messages"
    stops = {"end": "end_turn", "pause": "pause_turn", "context": "model_context_window_exceeded"}

    @staticmethod
    def usage(a):
        u = a.usage
        return {"input_tokens": u["input"], "output_tokens": u["output"] + u["reasoning"],
                "cache_creation_input_tokens": u["cache_write"], "cache_read_input_tokens": u["cache_read"],
                "cache_creation": {"ephemeral_5m_input_tokens": 0 if u.get("hour") else u["cache_write"],
                                   "ephemeral_1h_input_tokens": u["cache_write"] if u.get("hour") else 0},
                "output_tokens_details": {"thinking_tokens": u["reasoning"]}, "server_tool_use": None,
                "service_tier": "standard", "inference_geo": None}

    @staticmethod
    def blocks(a):
        out = []
        if a.reasoning:
            out.append({"type": "thinking", "thinking": a.reasoning, "signature": "sig+/" + a.call + "=="})
        if a.text:
            out.append({"type": "text", "text": whole(a.text), "citations": None})
        for t in a.tools:
            try:
                value = json.loads(arguments_text(t))
            except ValueError:
                value = {}
            out.append({"type": "tool_use", "id": t["id"], "name": t["name"], "input": value})
        return out

    def details(self, a):
        if a.stop != "refusal":
            return None
        return {"type": "refusal", "category": a.refusal.get("category"), "explanation": a.refusal.get("explanation")}

    def message(self, a, content, stop, usage):
        doc = {"id": "msg_" + a.call, "type": "message", "role": "assistant", "model": a.model, "content": content,
               "stop_reason": stop, "stop_sequence": None, "stop_details": None, "usage": usage}
        if stop == "stop_sequence":
            doc["stop_sequence"] = "END"
        if stop:
            doc["stop_details"] = self.details(a)
        return doc

    def document(self, a, dialect):
        return self.message(a, self.blocks(a), self.stops.get(a.stop, a.stop), self.usage(a))

    def items(self, a, dialect):
        return [{"role": "assistant", "content": self.blocks(a)}]

    def events(self, a, request, dialect):
        first = dict(self.usage(a), output_tokens=1)
        yield "message_start", {"type": "message_start", "message": self.message(a, [], None, first)}
        yield "ping", {"type": "ping"}
        for i, block in enumerate(self.blocks(a)):
            yield from self.block(a, i, block)
        stop = self.stops.get(a.stop, a.stop)
        yield "message_delta", {"type": "message_delta", "delta": {
            "stop_reason": stop, "stop_sequence": "END" if stop == "stop_sequence" else None,
            "stop_details": self.details(a)},
            "usage": {"output_tokens": self.usage(a)["output_tokens"], "input_tokens": None,
                      "cache_read_input_tokens": None, "output_tokens_details": self.usage(a)["output_tokens_details"]}}
        yield "message_stop", {"type": "message_stop"}

    def block(self, a, i, block):
        def delta(kind, **member):
            return "content_block_delta", {"type": "content_block_delta", "index": i, "delta": {"type": kind, **member}}

        if block["type"] == "text":
            shape = {"type": "text", "text": "", "citations": None}
            parts = [delta("text_delta", text=p) for p in pieces(a.text, a.piece)]
        elif block["type"] == "thinking":
            shape = {"type": "thinking", "thinking": "", "signature": ""}
            parts = [delta("thinking_delta", thinking=p) for p in pieces(a.reasoning, a.piece)]
            parts.append(delta("signature_delta", signature=block["signature"]))
        else:
            shape = {"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}
            tool = next(t for t in a.tools if t["id"] == block["id"])
            parts = [delta("input_json_delta", partial_json="")]
            parts += [delta("input_json_delta", partial_json=p) for p in pieces(arguments_text(tool), a.piece)]
        yield "content_block_start", {"type": "content_block_start", "index": i, "content_block": shape}
        yield from parts
        yield "content_block_stop", {"type": "content_block_stop", "index": i}

    @staticmethod
    def error(kind, message, code=None, status=None, dialect=None):
        error = {"type": kind, "message": message}
        if code:
            error["details"] = {"error_code": code}
        return {"type": "error", "error": error, "request_id": "req_mock"}

    def error_event(self, doc, dialect):
        return [("error", doc)]

    done = None
    kinds = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
             404: "not_found_error", 409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error",
             500: "api_error", 504: "timeout_error", 529: "overloaded_error"}


# ---------------------------------------------------------------------------
# Chat Completions
# ---------------------------------------------------------------------------
class Chat:
    name = "chat"
    stops = {"end": "stop", "tool_use": "tool_calls", "max_tokens": "length", "context": "length", "stop_sequence": "stop",
             "refusal": "stop", "pause": "stop"}
    done = "[DONE]"
    kinds = {400: "invalid_request_error", 401: "invalid_request_error", 403: "invalid_request_error", 404: "invalid_request_error",
             429: "requests", 500: "server_error", 503: "server_error"}

    @staticmethod
    def usage(a, dialect):
        u = a.usage
        doc = {"prompt_tokens": u["input"] + u["cache_read"] + u["cache_write"], "completion_tokens": u["output"] + u["reasoning"]}
        doc["total_tokens"] = doc["prompt_tokens"] + doc["completion_tokens"]
        if dialect not in ("ollama", "vllm"):
            doc["prompt_tokens_details"] = {"cached_tokens": u["cache_read"], "cache_write_tokens": u["cache_write"], "audio_tokens": 0}
            doc["completion_tokens_details"] = {"reasoning_tokens": u["reasoning"], "audio_tokens": 0}
        if dialect == "openrouter":
            doc["cost"] = 0.00014
            doc["is_byok"] = False
            doc["cost_details"] = {"upstream_inference_cost": None}
        return doc

    @staticmethod
    def call(t, dialect, index=None):
        value = arguments_text(t)
        if dialect == "args_object":
            value = json.loads(value)
        doc = {"id": t["id"], "type": "function", "function": {"name": t["name"], "arguments": value}}
        if dialect == "noid":
            del doc["id"]
        if index is not None:
            doc = {"index": index, **doc}
        return doc

    def finish(self, a, dialect):
        if a.tools and dialect == "stop_with_tools":
            return "stop"
        return self.stops.get(a.stop, a.stop)

    @staticmethod
    def reasoning_details(a):
        return [{"type": "reasoning.text", "text": a.reasoning, "signature": "sig" + a.call, "format": "unknown", "index": 0}]

    def message(self, a, dialect):
        doc = {"role": "assistant", "content": whole(a.text) if a.text else None, "refusal": None}
        if a.stop == "refusal":
            doc.update(content=None, refusal=a.refusal.get("explanation"))
        if a.tools:
            doc["tool_calls"] = [self.call(t, dialect) for t in a.tools]
        if a.reasoning:
            doc["reasoning" if dialect != "deepseek" else "reasoning_content"] = a.reasoning
            if dialect == "openrouter":
                doc["reasoning_details"] = self.reasoning_details(a)
        return doc

    def head(self, a, kind):
        return {"id": "chatcmpl-" + a.call, "object": kind, "created": 1790000000, "model": a.model}

    def document(self, a, dialect):
        doc = self.head(a, "chat.completion")
        doc["choices"] = [{"index": 0, "finish_reason": self.finish(a, dialect), "logprobs": None, "message": self.message(a, dialect)}]
        if not a.no_usage:
            doc["usage"] = self.usage(a, dialect)
        return doc

    def items(self, a, dialect):
        doc = self.message(a, dialect)
        doc.pop("reasoning", None)
        return [doc]

    def events(self, a, request, dialect):
        wants_usage = (request.get("stream_options") or {}).get("include_usage") or dialect == "openrouter"

        def chunk(delta, finish=None, **more):
            doc = self.head(a, "chat.completion.chunk")
            choice = {"index": 0, "delta": delta, "logprobs": None}
            if finish or dialect != "no_finish_member":
                choice["finish_reason"] = finish
            doc["choices"] = [choice]
            if dialect == "vllm" and wants_usage:
                doc["usage"] = self.usage(a, dialect)
            elif wants_usage and dialect not in ("ollama", "azure"):
                doc["usage"] = None
            doc.update(more)
            return None, doc

        if dialect == "azure":
            yield None, {"choices": [], "created": 0, "id": "", "model": "", "object": "",
                         "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
        yield chunk({"role": "assistant", "content": None if a.tools and not a.text else "", "refusal": None})
        for p in pieces(a.reasoning, a.piece):
            delta = {"reasoning_content" if dialect == "deepseek" else "reasoning": p}
            if dialect == "openrouter":
                delta["reasoning_details"] = [{"type": "reasoning.text", "text": p, "format": "unknown", "index": 0}]
            yield chunk(delta)
        if a.reasoning and dialect == "openrouter":
            yield chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "sig" + a.call, "index": 0}]})
        if a.stop == "refusal":
            for p in pieces(a.refusal.get("explanation") or "", a.piece):
                yield chunk({"refusal": p})
        else:
            for p in pieces(a.text, a.piece):
                yield chunk({"content": p}, **({"obfuscation": "xx"} if dialect == "" else {}))
        for k, t in enumerate(a.tools):
            yield from self.tool(a, k, t, dialect, chunk)
        last = {"usage": self.usage(a, dialect)} if dialect == "ollama" and wants_usage else {}
        yield chunk({}, self.finish(a, dialect), **last)
        if wants_usage and dialect not in ("ollama", "vllm") and not a.no_usage:
            doc = self.head(a, "chat.completion.chunk")
            doc.update(choices=[], usage=self.usage(a, dialect))
            yield None, doc

    def tool(self, a, k, t, dialect, chunk):
        index = 0 if dialect in ("index0", "noid") else k
        if dialect in ("ollama", "index0", "noid", "args_object"):
            yield chunk({"tool_calls": [self.call(t, dialect, index)]})
            return
        yield chunk({"tool_calls": [{"index": index, "id": t["id"], "type": "function",
                                     "function": {"name": t["name"], "arguments": ""}}]})
        for p in pieces(arguments_text(t), a.piece):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": p}}]})

    @staticmethod
    def error(kind, message, code=None, status=None, dialect=None):
        if dialect == "openrouter":
            return {"error": {"code": status or 500, "message": message, "metadata": {"error_type": code or kind}}}
        if dialect == "vllm":
            return {"error": {"message": message, "type": kind, "param": None, "code": status or 500}}
        if dialect == "litellm":
            return {"error": {"message": message, "type": None, "param": None, "code": str(status or 500)}}
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def error_event(self, doc, dialect):
        if dialect == "openrouter":
            doc = dict(doc, id="gen-1", object="chat.completion.chunk", choices=[
                {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}])
        return [(None, doc)] + ([(None, "[DONE]")] if dialect == "vllm" else [])


# ---------------------------------------------------------------------------
# Responses
# ---------------------------------------------------------------------------
class Responses:
    name = "responses"
    done = None
    kinds = Chat.kinds
    error = staticmethod(Chat.error)

    @staticmethod
    def usage(a):
        u = a.usage
        total = u["input"] + u["cache_read"] + u["cache_write"]
        return {"input_tokens": total, "input_tokens_details": {"cached_tokens": u["cache_read"], "cache_write_tokens": u["cache_write"]},
                "output_tokens": u["output"] + u["reasoning"], "output_tokens_details": {"reasoning_tokens": u["reasoning"]},
                "total_tokens": total + u["output"] + u["reasoning"]}

    @staticmethod
    def items(a, dialect=""):
        out = []
        if a.reasoning:
            out.append({"type": "reasoning", "id": "rs_" + a.call, "summary": [{"type": "summary_text", "text": a.reasoning}],
                        "encrypted_content": "gAAA+/" + a.call + "=="})
        if a.stop == "refusal":
            part = {"type": "refusal", "refusal": a.refusal.get("explanation") or ""}
        else:
            part = {"type": "output_text", "text": whole(a.text), "annotations": [], "logprobs": []}
        if a.text or a.stop == "refusal":
            out.append({"type": "message", "id": "msg_" + a.call, "role": "assistant", "status": "completed", "content": [part]})
        for k, t in enumerate(a.tools):
            out.append({"type": "function_call", "id": "fc_%s_%d" % (a.call, k), "call_id": t["id"], "name": t["name"],
                        "arguments": arguments_text(t), "status": "completed"})
        return out

    def response(self, a, status, output, usage):
        why = {"max_tokens": "max_output_tokens", "context": "max_output_tokens", "content_filter": "content_filter"}.get(a.stop, "steered")
        return {"id": "resp_" + a.call, "object": "response", "created_at": 1790000000, "status": status, "model": a.model,
                "output": output, "usage": usage, "error": None, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True,
                "incomplete_details": {"reason": why} if status == "incomplete" else None, "metadata": {}, "store": False}

    def status(self, a):
        return "incomplete" if a.stop in ("max_tokens", "context", "content_filter", "other") else "completed"

    def document(self, a, dialect):
        return self.response(a, self.status(a), self.items(a), None if a.no_usage else self.usage(a))

    def events(self, a, request, dialect):
        serial = 0

        def event(kind, **member):
            nonlocal serial
            serial += 1
            return kind, {"type": kind, "sequence_number": serial - 1, **member}

        empty = self.response(a, "in_progress", [], None)
        empty["incomplete_details"] = None
        yield event("response.created", response=empty)
        yield event("response.in_progress", response=empty)
        for i, item in enumerate(self.items(a)):
            yield from self.item(a, i, item, event)
        yield event("response." + self.status(a), response=self.document(a, dialect))

    def item(self, a, i, item, event):
        where = {"output_index": i, "item_id": item["id"]}
        if item["type"] == "reasoning":
            yield event("response.output_item.added", output_index=i, item=dict(item, summary=[]))
            part = {"type": "summary_text", "text": ""}
            yield event("response.reasoning_summary_part.added", summary_index=0, part=part, **where)
            for p in pieces(a.reasoning, a.piece):
                yield event("response.reasoning_summary_text.delta", summary_index=0, delta=p, **where)
            yield event("response.reasoning_summary_text.done", summary_index=0, text=a.reasoning, **where)
            yield event("response.reasoning_summary_part.done", summary_index=0, part=item["summary"][0], **where)
        elif item["type"] == "message":
            part = item["content"][0]
            refusal = part["type"] == "refusal"
            text = part["refusal"] if refusal else part["text"]
            name = "response.refusal" if refusal else "response.output_text"
            empty = dict(part, **{"refusal" if refusal else "text": ""})
            more = {} if refusal else {"logprobs": []}
            yield event("response.output_item.added", output_index=i, item=dict(item, content=[], status="in_progress"))
            yield event("response.content_part.added", content_index=0, part=empty, **where)
            for p in pieces(text if refusal else a.text, a.piece):
                yield event(name + ".delta", content_index=0, delta=p, **where, **more)
            yield event(name + ".done", content_index=0, **{"refusal" if refusal else "text": text}, **where, **more)
            yield event("response.content_part.done", content_index=0, part=part, **where)
        else:
            yield event("response.output_item.added", output_index=i, item=dict(item, arguments="", status="in_progress"))
            for p in pieces(item["arguments"], a.piece):
                yield event("response.function_call_arguments.delta", delta=p, **where)
            yield event("response.function_call_arguments.done", arguments=item["arguments"], name=item["name"], **where)
        yield event("response.output_item.done", output_index=i, item=item)

    @staticmethod
    def error_event(doc, dialect):
        error = doc["error"]
        return [("error", {"type": "error", "sequence_number": 99, "code": error.get("code") or error.get("type"),
                           "message": error.get("message"), "param": None})]


PROTOCOLS = {"messages": Messages(), "chat": Chat(), "responses": Responses()}
