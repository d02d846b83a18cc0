// Runs jobs without a person: selects, calls the plugin's code, saves, quits.
//
// jobs.json beside it: {"out": path, "settings": {…}, "jobs": [{"action", "bar", "bars", "staff",
// "staves"}]}. Writes after each job out-N.musicxml and at the end out.json with what was said.

import QtQuick 2.0
import MuseScore 3.0
import FileIO 3.0
import "bicinium.js" as Bicinium

MuseScore {
    id: plugin
    menuPath: "Plugins.Roundtrip"
    description: "test"
    version: "1.0"

    property int chordType: Element.CHORD

    FileIO { id: file }
    FileIO { id: io }

    property var said: []
    property var given: null

    function select(job) {
        cmd("escape");
        cmd("first-element");
        cmd("next-chord");
        for (var i = 0; i < job.bar; i++)
            cmd("next-measure");
        if (job.staff === 1)
            cmd("next-track");
        if (job.staves === 2)
            cmd("select-staff-below");
        var measures = Bicinium.measuresOf(plugin);
        var end = measures[Math.min(job.bar + job.bars, measures.length) - 1].end;
        var cursor = curScore.newCursor();
        for (i = 0; i < job.bars; i++) {
            cursor.rewind(2);
            if (!cursor.segment || cursor.tick < end)
                cmd("select-next-measure");
        }
    }

    function colours() {
        var found = [];
        for (var track = 0; track < curScore.ntracks; track++) {
            var cursor = curScore.newCursor();
            cursor.track = track;
            cursor.rewind(0);
            while (cursor.segment) {
                if (cursor.element.type === chordType)
                    for (var i = 0; i < cursor.element.notes.length; i++)
                        if (String(cursor.element.notes[i].color) !== "#000000")
                            found.push([track, cursor.tick, String(cursor.element.notes[i].color)]);
                cursor.next();
            }
        }
        return found;
    }

    function next(index) {
        if (index === given.jobs.length) {
            io.source = given.out + ".json";
            io.write(JSON.stringify(said));
            Qt.quit();
            return;
        }
        var job = given.jobs[index];
        if (job.bars)
            select(job);
        Bicinium[job.action](plugin, file, given.settings, function (problem, sentences) {
            writeScore(curScore, given.out + "-" + index + ".musicxml", "musicxml");
            said.push({ problem: problem, sentences: sentences || [], colours: colours() });
            next(index + 1);
        });
    }

    onRun: {
        io.source = file.tempPath() + "/bicinium-jobs.json";
        given = JSON.parse(io.read());
        writeScore(curScore, given.out + "-before.musicxml", "musicxml");
        next(0);
    }
}
