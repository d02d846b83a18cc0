// Sends the selection to a running `bicinium studio`, and writes back what it answers.

import QtQuick 2.0
import MuseScore 3.0
import FileIO 3.0
import Qt.labs.settings 1.0
import "bicinium.js" as Bicinium

MuseScore {
    id: plugin
    menuPath: "Plugins.Bicinium"
    description: "Second voices, other bars and counterpoint faults, from bicinium studio."
    version: "1.0"
    requiresScore: true
    pluginType: "dialog"
    width: 420
    height: 330

    property int chordType: Element.CHORD
    property bool busy: false
    property var ruleSets: ["bach", "species1", "species2", "species3", "species4", "species5"]
    property int ruleSet: 0

    FileIO { id: file }

    Settings {
        id: saved
        category: "bicinium"
        property alias address: address.text
        property alias token: token.text
        property alias ruleSet: plugin.ruleSet
    }

    function start(action, working) {
        if (busy)
            return;
        busy = true;
        message.text = working;
        var settings = {
            address: address.text.replace(/[?\/]*(token=.*)?$/, ""),
            token: (address.text.match(/token=([\w-]+)/) || ["", token.text])[1],
            rules: ruleSets[ruleSet],
            seed: Math.floor(Math.random() * 1000000)
        };
        action(plugin, file, settings, function (problem, sentences) {
            busy = false;
            message.text = problem || (sentences && sentences.join("\n")) || "Done.";
        });
    }

    Rectangle {
        anchors.fill: parent
        color: "#f6f6f6"

        Column {
            anchors.fill: parent
            anchors.margins: 12
            spacing: 8

            Text { text: "Address that bicinium studio printed" }
            Field { id: address; text: "http://127.0.0.1:8765" }
            Text { text: "Token, if the address has none" }
            Field { id: token }

            Row {
                spacing: 8
                Button {
                    label: "Second voice"
                    onPressed: start(Bicinium.secondVoice, "Composing …")
                }
                Button {
                    label: "Rewrite"
                    onPressed: start(Bicinium.rewrite, "Composing …")
                }
            }
            Row {
                spacing: 8
                Button {
                    label: "Check: " + ruleSets[ruleSet]
                    onPressed: start(Bicinium.check, "Checking …")
                }
                Button {
                    label: "Other rules"
                    onPressed: ruleSet = (ruleSet + 1) % ruleSets.length
                }
                Button {
                    label: "No colours"
                    onPressed: start(Bicinium.clearColours, "")
                }
            }
            Flickable {
                width: parent.width
                height: 110
                clip: true
                contentHeight: message.height
                Text {
                    id: message
                    width: parent.width
                    wrapMode: Text.WordWrap
                    text: "Select whole bars of one staff or two."
                }
            }
        }
    }
}
