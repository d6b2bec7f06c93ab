// SPDX-License-Identifier: MIT
// Filters the matrix and opens its cells. What is shown stands in the address, after #, as
// q=signal&verdict=fail&open=signals.eintr@host-6.1: whoever gets the link sees the same.
"use strict";

document.documentElement.classList.add("js");

document.addEventListener("DOMContentLoaded", () => {
	const form = document.getElementById("filter");
	const dialog = document.getElementById("diagnosis");
	const { q, area, verdict, differs } = form.elements;
	const fields = ["q", "area", "verdict", "differs"];

	const areas = [...document.querySelector("#contracts .matrix").tBodies].map((body) => ({
		body,
		area: body.dataset.area,
		rows: [...body.rows].slice(1).map((row) => ({
			row,
			text: `${row.cells[0].textContent} ${row.dataset.cases}`.toLowerCase(),
			verdicts: new Set([...row.cells].slice(1).map((cell) => cell.className)),
			differs: "differs" in row.dataset,
		})),
	}));
	const total = areas.reduce((sum, one) => sum + one.rows.length, 0);

	function filter() {
		const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
		let shown = 0;

		for (const one of areas) {
			const here = !area.value || one.area === area.value;
			let any = false;

			for (const { row, text, verdicts, differs: differing } of one.rows) {
				const show = here && (!verdict.value || verdicts.has(verdict.value)) &&
					(!differs.checked || differing) && words.every((word) => text.includes(word));

				if (row.hidden === show)
					row.hidden = !show;
				shown += show;
				any ||= show;
			}
			one.body.hidden = !any;
		}
		form.elements.count.value = `${shown} of ${total} contracts`;
		document.getElementById("nothing").hidden = shown > 0;
	}

	// The address: filters that are set, and the cell that is open.

	function state() {
		const found = new Map();

		for (const part of location.hash.slice(1).split("&")) {
			const [name, ...value] = part.split("=");

			try {
				found.set(name, decodeURIComponent(value.join("=")));
			} catch {
				found.set(name, value.join("="));
			}
		}
		return found;
	}

	function address(open) {
		const values = { q: q.value, area: area.value, verdict: verdict.value, differs: differs.checked ? "1" : "", open };
		const parts = Object.entries(values).filter(([, value]) => value)
			.map(([name, value]) => `${name}=${encodeURIComponent(value)}`);

		return `#${parts.join("&")}`;
	}

	function open(name) {
		const [contract, column] = name.split("@");
		const article = document.getElementById(`open=${contract}`);
		const copy = article?.cloneNode(true);
		const wanted = `open=${name}`;

		if (!copy)
			return;
		document.getElementById("diagnosis-title").textContent = copy.querySelector("h3").textContent;
		copy.querySelector("h3").remove();
		if (column && document.getElementById(wanted))
			for (const part of copy.querySelectorAll(".cases, section"))
				if (part.id !== wanted)
					part.remove();
		dialog.querySelector("div").replaceChildren(...copy.childNodes);
		for (const part of dialog.querySelectorAll("section")) // there is one of each in the page
			part.removeAttribute("id");
		if (!dialog.open)
			dialog.showModal();
		dialog.scrollTop = 0;
	}

	function follow() {
		const found = state();
		const isOurs = [...fields, "open"].some((name) => found.has(name));

		if (!isOurs && location.hash.length > 1) // to a part of the page
			return;
		q.value = found.get("q") ?? "";
		area.value = found.get("area") ?? "";
		verdict.value = found.get("verdict") ?? "";
		differs.checked = found.has("differs");
		for (const one of [area, verdict]) // the address may ask for what there is not
			if (one.selectedIndex < 0)
				one.value = "";
		filter();
		if (found.get("open"))
			open(found.get("open"));
		else
			dialog.close();
	}

	function changed() {
		filter();
		history.replaceState(null, "", address());
	}

	for (const event of ["input", "change"]) // of a select, not all that drives browsers sends both
		form.addEventListener(event, changed);
	form.addEventListener("submit", (event) => event.preventDefault());
	form.addEventListener("reset", () => setTimeout(changed));
	document.addEventListener("click", (event) => {
		const link = event.target.closest?.('a[href^="#open="]');

		if (!link || event.ctrlKey || event.metaKey || event.shiftKey)
			return;
		event.preventDefault();
		// not location.hash: that would take the focus from the link, to which closing returns it
		history.pushState(null, "", address(decodeURIComponent(link.hash.slice("#open=".length))));
		follow();
	});
	dialog.addEventListener("close", () => {
		if (state().get("open"))
			history.replaceState(null, "", address());
	});
	dialog.addEventListener("click", (event) => {
		if (event.target === dialog) // beside it
			dialog.close();
	});
	window.addEventListener("hashchange", follow);

	form.hidden = false;
	filter();
	follow();
	performance.mark("ready");
});
