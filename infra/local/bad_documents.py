"""What can be wrong with requests for documents, and with the templates that they are made by."""

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

from hostile_client import Case, HostileClient, Request, expect

MEDIA_TYPES = ("text/html", "text/plain", "application/vnd.escpos")
# A printer is told first to forget what it was told before (ESC @).
PRINTER_START = "\x1b@"
TEMPLATE_BYTES_MAX = 64 * 1024


class BadDocuments(HostileClient):
    """Of the two routes and of the feed."""

    def document(self, id: str, accept: str | None = "text/plain", query: str = "", token="operator") -> Request:
        headers = {} if accept is None else {"Accept": accept}
        return Request("GET", f"/v1/documents/{quote(id, safe='')}{query}", None, headers, token)

    def documents(self) -> Iterator[Case]:
        receipt, unknown = f"{self.final}.receipt", "document_not_found"
        for id in (
            self.final,
            f"{self.final}.",
            ".receipt",
            ".",
            f"{self.final}.invoice",
            f"{self.final}.RECEIPT",
            f"{self.final}.receipt.",
            f"{self.final}.return_receipt",
            # No shift has the id of an order.
            f"{self.final}.z_report",
            f"{self.final}.x_report",
            f"{self.open}.receipt",
            f"{self.voided}.receipt",
            f"nothing-{self.run}.receipt",
            f"{self.final}#cart.receipt",
            f"../{self.final}.receipt",
            f"{self.final}.receipt\u0000",
            f" {receipt}",
            "é.receipt",
            "x" * 3_000 + ".receipt",
        ):
            yield Case(f"document {id[:40]!r}", self.document(id), 404, (unknown, "route_unknown"))
        for accept in ("application/json", "image/*, application/pdf", "text/html;q=0", "*/*;q=0", "?", "text"):
            yield Case(f"Accept: {accept}", self.document(receipt, accept), 406, "not_acceptable")
        for query in ("?reprint=maybe", "?reprint=", "?reprint=1", "?copy=true", "?reprint=true&reprint=true"):
            yield Case(query, self.document(receipt, query=query), 422, "query_invalid")
        yield from self.shift_reports(unknown)
        listed = self.ask(f"/v1/orders/{self.final}/documents")
        yield Case("stranger", self.document(receipt, token="stranger"), 404, unknown)
        yield Case("stranger: list", replace(listed, token="stranger"), 404, "order_not_found")
        for name in ("nobody", "warehouse"):
            yield Case(f"{name}: document", self.document(receipt, token=name), 403, "role_required")
            yield Case(f"{name}: list", replace(listed, token=name), 403, "role_required")
        for id in (f"nothing-{self.run}", self.open):
            yield Case(f"list of {id}", self.ask(f"/v1/orders/{id}/documents"), 404, "order_not_found")
        yield Case("list of a#b", self.ask("/v1/orders/a%23b/documents"), 422, "id_malformed")

    def shift_reports(self, unknown: str) -> Iterator[Case]:
        x, z = f"{self.open_shift}.x_report", f"{self.closed_shift}.z_report"
        for name, id in [
            ("the X report of a closed shift", f"{self.closed_shift}.x_report"),
            ("the Z report of an open shift", f"{self.open_shift}.z_report"),
            ("the X report of no shift", f"nothing-{self.run}.x_report"),
            ("the Z report of no shift", f"nothing-{self.run}.z_report"),
            ("a receipt of a shift", f"{self.closed_shift}.receipt"),
            ("a report of a shift with a separator", f"{self.closed_shift}#x.z_report"),
            ("a report in capitals", f"{self.closed_shift}.Z_REPORT"),
        ]:
            yield Case(name, self.document(id), 404, (unknown, "route_unknown"))
        for id in (x, z):
            yield Case(f"stranger: {id}", self.document(id, token="stranger"), 404, unknown)
            yield Case(f"another store: {id}", self.document(id, token="far_cashier"), 404, unknown)
            yield Case(f"stock room: {id}", self.document(id, token="warehouse"), 403, "role_required")
            yield Case(f"{id} as a picture", self.document(id, "image/png"), 406, "not_acceptable")
            yield Case(f"{id} again", self.document(id, query="?reprint=maybe"), 422, "query_invalid")

    def documents_as_bytes(self) -> str:
        """What a printer gets is what was rendered, through the gateway too; the same request, the same bytes."""
        fetched = 0
        listed = self.api.get(f"/v1/orders/{self.final}/documents")["items"]
        for entry in listed:
            expect(tuple(entry["formats"]) == MEDIA_TYPES, entry)
        # An X report is left out: it is as of now, and tells the minute.
        for id in [*(entry["document_id"] for entry in listed), f"{self.closed_shift}.z_report"]:
            for media_type in MEDIA_TYPES:
                request = self.document(id, media_type)
                answer, again = self.answer(request), self.answer(request)
                expect(answer.status == 200, f"{answer.status} {answer.text[:300]}")
                expect(answer.headers["content-type"].startswith(media_type), answer.headers["content-type"])
                expect(answer.text == again.text, f"{id} as {media_type} is not the same twice")
                begins = {"text/html": "<!DOCTYPE html>", "application/vnd.escpos": PRINTER_START}.get(media_type, "")
                expect(answer.text.startswith(begins), answer.text[:100])
                known = replace(request, headers={**request.headers, "If-None-Match": answer.headers["etag"]})
                expect(self.answer(known).status == 304, f"{id}: sent again")
                fetched += 1
        again = self.answer(self.document(f"{self.final}.receipt", query="?reprint=true"))
        expect("REPRINT" in again.text, again.text)
        report = self.answer(self.document(f"{self.open_shift}.x_report"))
        expect(report.status == 200 and "X REPORT" in report.text, f"{report.status} {report.text[:300]}")
        return f"{fetched} documents fetched twice, byte for byte the same"

    def bad_templates(self) -> str:
        """Each is parked with what is wrong and where; none is taken in, and none takes the function's time."""
        loops = "{% for a in order.lines %}" * 24 + "{{ order.reprint }}" + "{% endfor %}" * 24

        def line(source, kind="kitchen_chit", format="paper", **more) -> str:
            data = {"kind": kind, "format": format, "source": source, **more}
            return json.dumps({"id": f"bad-{self.run}", "version": 1, "op": "upsert", "data": data})

        bad = [
            ("template_too_costly", line(loops)),
            ("template_syntax", line("\n{% if order.reprint %}")),
            ("template_unknown_name", line("\n\n{{ order.totals.total }}")),
            ("template_not_allowed", line("{% include '/etc/passwd' %}")),
            ("template_not_allowed", line("{{ range(1000000000) }}")),
            ("template_hides_reprint", line("the same for ever")),
            ("template_too_large", line("x" * (TEMPLATE_BYTES_MAX + 1))),
            ("line_too_long", line("x" * (4 * TEMPLATE_BYTES_MAX))),
            ("unknown_document_name", line("x", kind="invoice")),
            ("unknown_document_name", line("x", format="pdf")),
            ("line_invalid", line(7)),
        ]
        reply = self.upload_text("print_templates", "\n".join(text for _, text in bad))
        codes = [error["code"] for error in reply["errors"]]
        expect(codes == [code for code, _ in bad], codes)
        lines = [error["message"] for error in reply["errors"][1:3]]
        expect("line 2" in lines[0] and "line 3" in lines[1], lines)
        chit = self.answer(self.document(f"{self.final}.kitchen_chit"))
        expect(chit.status == 200, f"{chit.status} {chit.text[:300]}")
        return f"{len(bad)} bad templates parked, the built-in one is used"
