// The plugin without its window: reads the selection, asks the studio, writes the answer back.
//
// `host` is the plugin: MuseScore's curScore, cmd, newElement, removeElement, writeScore, division.
// `file` is a FileIO. Ticks are MuseScore's; the studio has 24 to the quarter note.

var STUDIO_TICKS = 24;
var SHORTEST = 3; // ticks of the studio, a thirty-second: shorter or other notes need a tuplet
var LENGTHS = [96, 72, 48, 36, 24, 18, 12, 9, 6, 3]; // with at most one dot
var CONTEXT_BARS = 8; // on each side of bars to rewrite
var ATTEMPTS = 4; // seeds that are tried before a tuplet in the answer is an error
var COLOURS = { error: "#d00000", warning: "#d07000", hint: "#0060c0" };
var BLACK = "#000000";

// ------------------------------------------------------------------ reading

// The measures of the score: start and end in ticks, metre.
function measuresOf(host) {
    var found = [];
    for (var m = host.curScore.firstMeasure; m; m = m.nextMeasure) {
        var actual = m.timesigActual;
        var start = m.firstSegment.tick;
        found.push({
            start: start,
            end: start + Math.round(4 * host.division * actual.numerator / actual.denominator),
            meter: actual.numerator + "/" + actual.denominator,
            nominal: m.timesigNominal.numerator + "/" + m.timesigNominal.denominator
        });
    }
    return found;
}

// The selection as bars [first, last] and tracks [upper, lower]. Throws a sentence if it cannot be
// used.
function readSelection(host) {
    var cursor = host.curScore.newCursor();
    cursor.rewind(1);
    if (!cursor.segment)
        throw "Select some bars first: click one, then shift-click another.";
    var start = cursor.tick, top = cursor.staffIdx;
    cursor.rewind(2);
    var measures = measuresOf(host);
    var isInside = cursor.segment && cursor.tick > start; // and not at the end of the score
    var end = isInside ? cursor.tick : measures[measures.length - 1].end;
    var bottom = cursor.staffIdx;
    var first = -1, last = -1;
    for (var i = 0; i < measures.length; i++) {
        if (measures[i].start === start)
            first = i;
        if (measures[i].end === end)
            last = i;
    }
    if (first < 0 || last < first)
        throw "Select whole bars.";
    if (bottom > top + 1)
        throw "Select one or two staves (" + (bottom - top + 1) + " are selected).";
    for (i = first; i <= last; i++)
        if (measures[i].meter !== measures[first].meter ||
                measures[i].nominal !== measures[i].meter)
            throw "Select bars of one metre, none of them incomplete.";
    return {
        first: first, last: last, start: start, end: end, measures: measures,
        tracks: bottom > top ? [4 * top, 4 * bottom] : [4 * top, 4 * top + 1]
    };
}

// Whether two selections are the same bars and voices.
function isSame(one, other) {
    return one.start === other.start && one.end === other.end &&
        one.tracks[0] === other.tracks[0] && one.tracks[1] === other.tracks[1];
}

// Put the cursor on a tick of a track: where the voice has something, or else voice 1 of its staff.
function seek(cursor, tick, track) {
    var tracks = [track, track - track % 4];
    for (var i = 0; i < 2; i++) {
        cursor.track = tracks[i];
        cursor.rewind(0);
        while (cursor.segment && cursor.tick < tick)
            cursor.next();
        if (cursor.segment && cursor.tick === tick) {
            cursor.track = track;
            return true;
        }
    }
    return false;
}

// The notes of a track from one tick to another, ties joined: {start, end, pitch, chord}.
// Of a chord the outer note counts. `ties` is what `tiesOf` returns.
function readLine(host, track, isUpper, from, to, ties) {
    var cursor = host.curScore.newCursor(), notes = [], open = null;
    cursor.track = track;
    cursor.rewind(0);
    while (cursor.segment && cursor.tick < to) {
        var tick = cursor.tick, element = cursor.element;
        var length = Math.round(4 * host.division * element.duration.numerator /
            element.duration.denominator);
        var isChord = element.type === host.chordType;
        var outer = isChord ? outerNote(element, isUpper) : null;
        cursor.next();
        var end = cursor.segment ? Math.min(cursor.tick, tick + length) : tick + length;
        if (outer === null) {
            open = null;
            continue;
        }
        if (open && open.end === tick && open.pitch === outer.pitch) {
            open.end = end;
            open.pieces.push(tick);
        } else {
            open = { start: tick, end: end, pitch: outer.pitch, size: element.notes.length,
                pieces: [tick] };
            notes.push(open);
        }
        if (!isTied(outer, ties, track, tick))
            open = null;
    }
    return notes.filter(function (note) { return note.end > from; });
}

function outerNote(chord, isUpper) {
    var found = chord.notes[0];
    for (var i = 1; i < chord.notes.length; i++)
        if ((chord.notes[i].pitch > found.pitch) === isUpper)
            found = chord.notes[i];
    return found;
}

// MuseScore 3.3 and later say whether a note is tied on.
function isTied(note, ties, track, tick) {
    if (ties === null)
        return Boolean(note.tieForward);
    return ties[(track - track % 4) / 4 + ":" + tick + ":" + note.pitch] === true;
}

// The ties of the score for versions whose plugins do not see them (before 3.3): they are read from
// a MusicXML file that MuseScore writes. null in later versions.
function tiesOf(host, file, measures) {
    if (host.mscoreVersion >= 30300)
        return null;
    file.source = file.tempPath() + "/bicinium-" + Date.now() + ".musicxml";
    if (!host.writeScore(host.curScore, file.source, "musicxml"))
        throw "The score could not be read: " + file.source + " cannot be written.";
    var text = file.read();
    file.remove();
    return tiesInMusicXml(text, host.division, measures);
}

var STEPS = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 };

// {"staff:tick:pitch": true} for each note that is tied to the next.
function tiesInMusicXml(text, division, measures) {
    var ties = {}, staff = 0, staves = 1, measure = -1, divisions = 1, now = 0, last = 0, match;
    var items = new RegExp("<part id=|</part>|<measure[ >]|<divisions>(\\d+)<|<staves>(\\d+)<|" +
        "<(note|backup|forward)[ >][\\s\\S]*?</\\3>", "g");
    while ((match = items.exec(text)) !== null) {
        var item = match[0];
        if (item.indexOf("<part id=") === 0) {
            measure = -1;
            staves = 1;
        } else if (item === "</part>") {
            staff += staves;
        } else if (item.indexOf("<measure") === 0) {
            measure += 1;
            now = last = measures[measure].start;
        } else if (match[1]) {
            divisions = Number(match[1]);
        } else if (match[2]) {
            staves = Number(match[2]);
        } else {
            var length = Math.round(number(item, "duration") * division / divisions);
            if (match[3] === "backup") {
                now -= length;
            } else if (match[3] === "forward") {
                now += length;
            } else {
                var onset = item.indexOf("<chord/>") < 0 ? now : last;
                var line = staff + (number(item, "staff") || 1) - 1;
                if (item.indexOf('<tie type="start"') >= 0)
                    ties[line + ":" + onset + ":" + pitch(item)] = true;
                if (item.indexOf("<chord/>") < 0) {
                    last = now;
                    now += length;
                }
            }
        }
    }
    return ties;
}

function number(item, name) {
    var found = item.match("<" + name + ">(-?\\d+)<");
    return found ? Number(found[1]) : 0;
}

function pitch(item) {
    var step = item.match(/<step>([A-G])</);
    return step ? STEPS[step[1]] + number(item, "alter") + 12 * (number(item, "octave") + 1) : 0;
}

// ------------------------------------------------------------------ scores of the studio

// The bars `first` to `last` of two lines as the studio's JSON.
function scoreOf(host, selection, first, last, lines) {
    var measures = selection.measures, start = measures[first].start, end = measures[last].end;
    var cursor = host.curScore.newCursor();
    seek(cursor, selection.start, selection.tracks[0] - selection.tracks[0] % 4);
    return {
        meter: measures[selection.first].meter,
        fifths: cursor.keySignature,
        bars: last - first + 1,
        tempo: Math.min(300, Math.max(20, 60 * cursor.tempo)),
        voices: lines.map(function (notes) {
            return notes.filter(function (note) { return note.start < end; }).map(function (note) {
                var onset = inStudioTicks(host, Math.max(note.start, start) - start);
                var offset = inStudioTicks(host, Math.min(note.end, end) - start);
                return [onset, note.pitch, offset - onset, 80];
            });
        })
    };
}

function inStudioTicks(host, ticks) {
    var found = ticks * STUDIO_TICKS / host.division;
    if (found !== Math.round(found))
        throw "A note does not begin or end on the grid of 24 ticks to the quarter note. " +
            "Select bars without quintuplets and the like.";
    return found;
}

// ------------------------------------------------------------------ the studio

// POST JSON, and call back with (problem, text). The token is that of the studio's address.
// A plugin that runs without a window must be synchronous: MuseScore quits when its code returns.
function post(settings, path, body, done) {
    var request = new XMLHttpRequest();
    request.onreadystatechange = function () {
        if (request.readyState !== XMLHttpRequest.DONE)
            return;
        if (request.status === 200)
            done("", request.responseText);
        else if (request.status === 0)
            done("No studio answers at " + settings.address + ". Start it: bicinium studio");
        else if (request.status === 401)
            done("The studio wants its token: the address that it printed has it after token=.");
        else
            done(problemIn(request.responseText) || "The studio answers " + request.status + ".");
    };
    request.open("POST", settings.address.replace(/\/+$/, "") + path, !settings.isSynchronous);
    request.setRequestHeader("Content-Type", "application/json");
    if (settings.token)
        request.setRequestHeader("Authorization", "Bearer " + settings.token);
    request.send(JSON.stringify(body));
}

function problemIn(text) {
    try {
        return JSON.parse(text).error;
    } catch (error) {
        return "";
    }
}

// Ask for one piece, of `candidates` or as many as the studio likes, until it needs no
// tuplet between two ticks, and call back with (problem, score).
function compose(settings, body, from, to, done, attempt) {
    post(settings, "/api/v1/compose", body, function (problem, text) {
        if (problem)
            return done(problem);
        var piece = null;
        text.split("\n").forEach(function (line) {
            var item = line ? JSON.parse(line) : {};
            problem = item.error || problem;
            piece = item.piece || piece;
        });
        if (problem || !piece)
            return done(problem || "The studio has composed nothing.");
        if (!needsTuplet(piece.score, from, to))
            return done("", piece.score);
        if ((attempt || 1) >= ATTEMPTS)
            return done("The answers have tuplets, which a plugin cannot write. Try again.");
        body.seed += 1;
        compose(settings, body, from, to, done, (attempt || 1) + 1);
    });
}

function needsTuplet(score, from, to) {
    return score.voices.some(function (voice) {
        return voice.some(function (row) {
            return row[0] < to && row[0] + row[2] > from &&
                (row[0] % SHORTEST || row[2] % SHORTEST);
        });
    });
}

// ------------------------------------------------------------------ writing

// Delete what is selected, and check that nothing is left in these tracks.
function deleteSelected(host, selection, tracks) {
    host.cmd(host.mscoreVersion >= 40000 ? "notation-delete" : "delete");
    tracks.forEach(function (track) {
        if (readLine(host, track, true, selection.start, selection.end, {}).some(function (note) {
            return note.start >= selection.start;
        }))
            throw "MuseScore did not delete the selection. Nothing was written.";
    });
}

// Write the notes [onset, pitch, duration, …] of a line, in ticks of the studio from `base`.
function writeLine(host, selection, track, rows) {
    var scale = host.division / STUDIO_TICKS;
    for (var bar = selection.first; bar <= selection.last; bar++) {
        var start = selection.measures[bar].start, end = selection.measures[bar].end, now = start;
        rows.forEach(function (row) {
            var onset = selection.start + row[0] * scale;
            var offset = onset + row[2] * scale;
            var from = Math.max(onset, start), to = Math.min(offset, end);
            if (from >= to)
                return;
            if (from > now)
                writePieces(host, track, now, from, -1, false);
            writePieces(host, track, from, to, row[1], onset < start);
            now = to;
        });
    }
}

// Write a note, or with pitch -1 a rest, as the fewest symbols; the first may be tied to the one
// before. A rest is a note that is removed again: a plugin can write no rest.
function writePieces(host, track, from, to, pitch, isTied) {
    var scale = host.division / STUDIO_TICKS;
    while (from < to) {
        var length = LENGTHS.filter(function (ticks) { return ticks * scale <= to - from; })[0];
        var cursor = host.curScore.newCursor();
        if (!seek(cursor, from, track))
            throw "MuseScore has no place for a note. Undo, and select other bars.";
        host.curScore.startCmd();
        cursor.setDuration(length, 4 * STUDIO_TICKS);
        cursor.addNote(pitch < 0 ? 60 : pitch, false);
        host.curScore.endCmd();
        if (pitch < 0) {
            seek(cursor, from, track);
            host.curScore.startCmd();
            host.removeElement(cursor.element.notes[0]);
            host.curScore.endCmd();
        } else if (isTied) {
            host.cmd(host.mscoreVersion >= 40000 ? "notation-move-left" : "prev-chord");
            host.cmd("tie");
        }
        from += length * scale;
        isTied = pitch >= 0;
    }
}

// Throw if a track does not have exactly these notes now.
function checkWritten(host, file, selection, track, rows) {
    var ties = tiesOf(host, file, selection.measures);
    var line = readLine(host, track, true, selection.start, selection.end, ties);
    var scale = host.division / STUDIO_TICKS;
    var there = line.map(function (note) {
        return [note.start - selection.start, note.pitch, note.end - note.start].join();
    });
    var wanted = rows.map(function (row) {
        return [row[0] * scale, row[1], row[2] * scale].join();
    });
    if (there.join(" ") !== wanted.join(" "))
        throw "MuseScore has not written what the studio composed. Undo, and please report it.";
}

// ------------------------------------------------------------------ what the buttons do

// Read the selection and its two lines, with the bars around it if `context` is not 0.
function readAll(host, file, context) {
    var selection = readSelection(host), measures = selection.measures;
    var first = selection.first, last = selection.last;
    function fits(bar) {
        return measures[bar].meter === measures[selection.first].meter &&
            measures[bar].nominal === measures[bar].meter;
    }
    while (first > 0 && selection.first - first < context && fits(first - 1))
        first -= 1;
    while (last + 1 < measures.length && last - selection.last < context && fits(last + 1))
        last += 1;
    var ties = tiesOf(host, file, measures);
    var lines = selection.tracks.map(function (track, voice) {
        return readLine(host, track, voice === 0, measures[first].start, measures[last].end, ties);
    });
    return { selection: selection, first: first, last: last, lines: lines };
}

function within(notes, selection) {
    return notes.filter(function (note) {
        return note.end > selection.start && note.start < selection.end;
    });
}

// Throw if the selected voices cannot be rewritten without a loss outside them.
function checkFree(host, all) {
    var selection = all.selection;
    all.lines.forEach(function (line) {
        within(line, selection).forEach(function (note) {
            if (note.size > 1)
                throw "There is a chord in the selection. bicinium writes single notes.";
            if (note.start < selection.start || note.end > selection.end)
                throw "A note is tied across the edge of the selection. Select its other bar too.";
        });
    });
    for (var staff = selection.tracks[0]; staff <= selection.tracks[1]; staff += 4)
        for (var voice = 0; voice < 4; voice++)
            if (selection.tracks.indexOf(staff + voice) < 0 &&
                readLine(host, staff + voice, true, selection.start, selection.end, {}).length)
                throw "There is a third voice in the selection. bicinium writes two.";
}

// Write the voice that is missing in the selection.
function secondVoice(host, file, settings, done) {
    attempt(done, function () {
        var all = readAll(host, file, 0), selection = all.selection;
        var counts = all.lines.map(function (line) { return within(line, selection).length; });
        if (!counts[0] === !counts[1])
            throw counts[0] ? "Both voices have notes. To compose them anew, choose Rewrite."
                : "There are no notes in the selection.";
        var given = counts[0] ? 0 : 1;
        all.lines[given].forEach(function (note) {
            if (note.size > 1)
                throw "There is a chord in the selection. bicinium writes to single notes.";
        });
        var body = {
            seed: settings.seed,
            best_of: settings.candidates,
            source: {
                use: given === 0 ? "upper" : "lower",
                score: scoreOf(host, selection, selection.first, selection.last, all.lines)
            }
        };
        compose(settings, body, 0, Infinity, function (problem, score) {
            if (problem)
                return done(problem);
            attempt(done, function () {
                if (!isSame(selection, readSelection(host)))
                    throw "The selection has changed. Nothing was written.";
                var track = selection.tracks[1 - given];
                writeLine(host, selection, track, score.voices[1 - given]);
                checkWritten(host, file, selection, track, score.voices[1 - given]);
                done("");
            });
        });
    });
}

// Compose both voices of the selection anew, with the bars around it in mind.
function rewrite(host, file, settings, done) {
    attempt(done, function () {
        var all = readAll(host, file, CONTEXT_BARS), selection = all.selection;
        if (!within(all.lines[0], selection).length || !within(all.lines[1], selection).length)
            throw "One voice of the selection is empty. Select two staves, or a staff with two " +
                "voices.";
        checkFree(host, all);
        var bars = [selection.first - all.first + 1, selection.last - all.first + 1];
        var base = inStudioTicks(host, selection.start - selection.measures[all.first].start);
        var length = inStudioTicks(host, selection.end - selection.start);
        var body = {
            seed: settings.seed,
            best_of: settings.candidates,
            source: {
                use: "rewrite",
                rewrite_bars: bars,
                score: scoreOf(host, selection, all.first, all.last, all.lines)
            }
        };
        compose(settings, body, base, base + length, function (problem, score) {
            if (problem)
                return done(problem);
            attempt(done, function () {
                if (!isSame(selection, readSelection(host)))
                    throw "The selection has changed. Nothing was written.";
                var lines = score.voices.map(function (voice) {
                    return voice.filter(function (row) {
                        return row[0] >= base && row[0] < base + length;
                    }).map(function (row) { return [row[0] - base, row[1], row[2]]; });
                });
                deleteSelected(host, selection, selection.tracks);
                lines.forEach(function (rows, voice) {
                    writeLine(host, selection, selection.tracks[voice], rows);
                });
                lines.forEach(function (rows, voice) {
                    checkWritten(host, file, selection, selection.tracks[voice], rows);
                });
                done("");
            });
        });
    });
}

// Colour the faults of counterpoint in the selection, and call back with (problem, sentences).
function check(host, file, settings, done) {
    attempt(done, function () {
        var all = readAll(host, file, 0), selection = all.selection;
        var body = {
            rules: settings.rules,
            score: scoreOf(host, selection, selection.first, selection.last, all.lines)
        };
        post(settings, "/api/v1/check", body, function (problem, text) {
            if (problem)
                return done(problem);
            attempt(done, function () {
                var faults = JSON.parse(text).faults;
                paint(host, all, faults);
                done("", faults.map(function (fault) {
                    return "bar " + (fault.bar + selection.first) + ", beat " + fault.beat + ": " +
                        fault.fact + ". " + fault.reason;
                }));
            });
        });
    });
}

// Make the notes of the selection black, and then those of the faults coloured.
function paint(host, all, faults) {
    var selection = all.selection, scale = host.division / STUDIO_TICKS;
    host.curScore.startCmd();
    all.lines.forEach(function (line, voice) {
        within(line, selection).forEach(function (note) {
            var colour = BLACK;
            ["hint", "warning", "error"].forEach(function (severity) {
                faults.forEach(function (fault) {
                    if (fault.severity === severity && fault.notes.some(function (one) {
                        return one.voice === voice && Math.max(note.start, selection.start) ===
                            selection.start + one.tick * scale;
                    }))
                        colour = COLOURS[severity];
                });
            });
            note.pieces.forEach(function (tick) {
                var cursor = host.curScore.newCursor();
                if (seek(cursor, tick, selection.tracks[voice]))
                    setColour(outerNote(cursor.element, voice === 0), colour);
            });
        });
    });
    host.curScore.endCmd();
}

// Change a colour of ours only: what the user has coloured otherwise stays.
function setColour(note, colour) {
    var now = String(note.color).toLowerCase();
    var ours = [BLACK];
    for (var severity in COLOURS)
        ours.push(COLOURS[severity]);
    if (ours.indexOf(now) >= 0 && now !== colour)
        note.color = colour;
}

// Remove the colours of `check` from the selection.
function clearColours(host, file, settings, done) {
    attempt(done, function () {
        paint(host, readAll(host, file, 0), []);
        done("");
    });
}

// Call back with the sentence that is thrown.
function attempt(done, work) {
    try {
        work();
    } catch (problem) {
        done(typeof problem === "string" ? problem : "The plugin failed: " + problem);
    }
}
