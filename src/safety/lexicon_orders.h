/*-------------------------------------------------------------------------
 *
 * lexicon_orders.h
 *	  More words of the content filter: orders to the model. Read by lexicon.c alone.
 *
 *-------------------------------------------------------------------------
 */
/* clang-format off */
	/* who is spoken to, in a text that speaks to nobody else */
	W(AGENT_CALL, "en", "agent,|assistant,|chatbot,|attention ai|attention, ai|attention agent|attention: ai|attention assistant|note for ai*|note for the ai|"
		"note to the model|note to agents|note to assistants|message for the ai|message to the ai|instruction to the ai|instructions to the ai|for ai readers|"
		"for ai systems|for ai agents|for language models|for any language model|dear ai|dear assistant|dear model|dear bot|hey ai|hey assistant|hello ai|"
		"hi ai|to the ai|to all ai*|to whichever ai|to any assistant|to the automated|any automated system|automated reader*|if you are a language model|"
		"if you are an assistant|if you're an ai|if an ai|when an ai|the ai reading|ai that reads|model that reads|the model processing|llm:|to the llm|"
		"summarizer:|summariser:|reviewer bot|screening model|ai screening|ai reviewer*|ai grader*|grading model|mail agent|email agent|support bot|to the bot|"
		"for the bot|copilot:|model:|model,|modell,|modell:|modele,|modele :|modelo,|modelo:|modello,|modello:|dear reviewer model"),
	W(AGENT_CALL, "de", "agent,|assistent,|assistentin,|liebe ki|lieber assistent|liebes sprachmodell|hallo ki|achtung ki|achtung, ki|achtung agent|achtung assistent|"
		"hinweis an die ki|hinweis fur die ki|hinweis an den|hinweis fur den|hinweis an das|hinweis fur ki*|hinweis fur sprach*|nachricht an die ki|"
		"nachricht an den agent*|nachricht an den assist*|an den bot|an den agenten|an den assistenten|an das modell|an das sprachmodell|an alle ki*|"
		"an jede ki|an die ki|fur die ki|sprachmodell,|sprachmodell:|sprachmodelle|wenn du eine ki|falls du eine ki|falls eine ki|wenn eine ki|jede ki|"
		"die ki, die|ki, die das|ki, die dies|anweisung an die|anweisung fur die|anweisung an den|mailagent|mail-agent*|an automatische|automatische systeme|"
		"an den ki|fur den ki|anmerkung an die|anmerkung fur|notiz an die ki|notiz fur die ki|notiz an den"),
	W(AGENT_CALL, "fr", "agent,|assistant,|chere ia|cher assistant|cher modele|attention ia|attention agent|attention, agent|attention assistant|note pour l'ia|note a l'ia|"
		"note pour l'assistant|note a l'assistant|note a l'agent|note pour l'agent|note pour les ia|note au modele|message pour l'ia|message a l'ia|"
		"message au robot|message pour l'assistant|message a l'assistant|message a l'agent|consigne pour l'ia|consigne a l'ia|consigne pour l'assistant|"
		"instruction pour l'ia|instruction pour l'assistant|instruction a l'assistant|instructions pour l'ia|instruction a l'ia|a l'attention de l'assistant|"
		"a l'attention de l'agent|a l'attention des ia|a l'intention de l'ia|a l'intention des|si tu es une ia|si vous etes une ia|si une ia|toute ia|l'ia qui|"
		"modele de langage|au robot|pour le robot|avis a l'agent|avis au robot|avis a l'ia|tout systeme automatique|systemes automatiques|assistant automatique"),
	W(AGENT_CALL, "es", "agente,|asistente,|querida ia|querido asistente|querido modelo|atencion ia|atencion, ia|atencion agente|atencion, agente|atencion asistente|"
		"nota para la ia|nota a la ia|nota para el asistente|nota al asistente|nota al agente|nota para el agente|nota para el modelo|nota al modelo|"
		"mensaje para la ia|mensaje a la ia|mensaje al asistente|mensaje para el asistente|mensaje al agente|mensaje al bot|mensaje para el bot|"
		"instruccion para la ia|instruccion para el|instrucciones para la ia|instrucciones para el asistente|instruccion al asistente|aviso al agente|"
		"aviso a la ia|aviso para la ia|aviso al asistente|aviso al bot|si eres una ia|si eres un modelo|si una ia|toda ia|cualquier ia|la ia que|"
		"modelo de lenguaje|al robot|para el robot|para el bot|sistema automatico|sistemas automaticos"),
	W(AGENT_CALL, "pt", "agente,|assistente,|querida ia|cara ia|caro assistente|caro modelo|atencao ia|atencao, ia|atencao agente|atencao, agente|atencao assistente|"
		"nota para a ia|nota a ia|nota para o assistente|nota ao assistente|nota ao agente|nota para o agente|nota ao modelo|mensagem para a ia|mensagem a ia|"
		"mensagem ao assistente|mensagem para o assistente|mensagem ao robo|mensagem para o robo|recado ao|recado para a ia|recado para o|recado a ia|"
		"instrucao para a ia|instrucao para o|instrucao ao|instrucoes para a ia|instrucoes para o assistente|instrucao a ia|aviso ao agente|aviso a ia|"
		"aviso para a ia|aviso ao assistente|se voce e uma ia|se es uma ia|se e uma ia|se uma ia|toda ia|qualquer ia|a ia que|modelo de linguagem|ao robo|"
		"para o robo|para o bot|sistema automatico|sistemas automaticos"),
	W(AGENT_CALL, "it", "agente,|assistente,|cara ia|caro assistente|caro modello|attenzione ia|attenzione, ia|attenzione agente|attenzione, agente|attenzione assistente|"
		"nota per l'ia|nota all'ia|nota per l'assistente|nota all'assistente|nota all'agente|nota per l'agente|nota al modello|messaggio per l'ia|"
		"messaggio all'ia|messaggio all'assistente|messaggio per l'assistente|messaggio all'agente|messaggio al bot|messaggio per il bot|istruzione per l'ia|"
		"istruzione per l'|istruzioni per l'ia|istruzione all'|istruzioni per l'assistente|avviso all'agente|avviso all'ia|avviso per l'ia|"
		"avviso all'assistente|avviso al bot|se sei un'ia|se sei una ia|se sei un modello|se un'ia|ogni ia|qualsiasi ia|l'ia che|modello linguistico|al robot|"
		"per il bot|nota per il bot|sistema automatico|sistemi automatici"),
	/* what such a text wants in its writer's favour */
	W(FAVOUR, "", "full refund|top score|highest score|best score|maximum score|full marks|top marks|highest rating|five stars|best rating|rank first|first place|"
		"number one|rate this|rate it|score this|grade this|recommend only|only recommend|recommend this|recommend our|mark as paid|as paid|as approved|"
		"as safe|as resolved|as trusted|pre-approved|already approved|approve it|approve this|approve the|accept this|hire this|shortlist|best candidate|"
		"ideal candidate|perfect candidate|log in again|sign in again|log in at|click the link|click this link|visit the|open the link|discount|coupon*|"
		"voucher|gift card*|wire the|pay the invoice|volle punktzahl|beste note|bestnote|hochste bewertung|hochste punktzahl|an erste stelle|auf platz eins|"
		"auf platz 1|empfiehl|empfehle|als bezahlt|als erledigt|als sicher|genehmige|gutschein*|rabatt|erstatte|erstattung|stelle ein|bester bewerber|"
		"beste bewerber*|uberweis*|note maximale|meilleure note|en premier|en premiere place|a la premiere place|recommande|comme paye*|comme regle*|"
		"comme approuve*|approuve|valide|remboursement|meilleur candidat|candidat ideal|virement|la nota maxima|maxima puntuacion|puntuacion maxima|"
		"la mejor nota|en primer lugar|en el primer puesto|recomienda|como pagad*|como aprobad*|como resuelt*|aprueba|reembolso|mejor candidato|"
		"candidato ideal|transferencia|cupon*|nota maxima|pontuacao maxima|melhor nota|em primeiro lugar|recomende|recomenda|como paga|como pago|como aprovad*|"
		"como resolvid*|aprove|aprova|melhor candidato|cupom|cupons|voto massimo|punteggio massimo|miglior voto|al primo posto|consiglia|raccomanda|"
		"come pagat*|come approvat*|come risolt*|approva|rimborso|miglior candidato|candidato ideale|bonifico|buono sconto|10/10|10 out of 10|ten out of ten|"
		"100/100|10 von 10|10 sur 10|10 de 10|nota 10|10 su 10|nota dez|un diez|un dieci|un dix|verschweig*|keep quiet about|tais cette|calla esta|cale esta|"
		"taci questa"),
	/* what the user asked for does not count any more */
	W(TASK_CHANGED, "", "task has changed|task changed|your task is now|your new task|new task|new job|your new job|your real task|your actual task|drop the summary|drop the task|drop the user's|abandon the task|abandon the user's|stop the task|stop summarizing|stop summarising|"
		"skip the summary|instead of summarizing|instead of summarising|instead of answering|instead of translating|instead of the summary|do not summarize|do not summarise|do not translate|don't translate|don't summarize|don't summarise|request was cancelled|"
		"request is cancelled|request has been cancelled|the user's request|before you answer|before answering|before you go on|before you continue|before continuing|before replying|before you reply|first, send|aufgabe hat sich geandert|aufgabe ist jetzt|neue aufgabe|"
		"aufgabe wurde geandert|auftrag hat sich|neuer auftrag|auftrag ist jetzt|auftrag wurde|statt zusammenzufassen|statt zu ubersetzen|statt der zusammenfassung|statt einer zusammenfassung|statt zu antworten|ubersetze nicht|fasse nicht zusammen|lass die aufgabe|"
		"brich die aufgabe|bevor du antwortest|bevor du weitermachst|bevor du fortfahrst|anfrage des nutzers|bitte des nutzers|la tache a change|ta tache est|nouvelle tache|ta mission est|nouvelle mission|la mission a change|au lieu de resumer|au lieu de traduire|"
		"au lieu de repondre|ne resume pas|ne traduis pas|laisse la tache|abandonne la tache|arrete la tache|avant de repondre|avant de continuer|demande de l'utilisateur|demande de son utilisateur|demande a ete annulee|la tarea ha cambiado|la tarea cambio|tu tarea es|"
		"nueva tarea|tu mision es|nueva mision|en vez de resumir|en lugar de resumir|en vez de traducir|en lugar de traducir|no resumas|no traduzcas|deja la tarea|abandona la tarea|antes de responder|antes de contestar|antes de seguir|antes de continuar|"
		"peticion del usuario|solicitud del usuario|tarea del usuario|a tarefa mudou|tarefa foi alterada|tua tarefa e|sua tarefa e|nova tarefa|nova missao|sua missao|em vez de resumir|em vez de traduzir|nao resuma|nao resumas|nao traduza|deixe a tarefa|larga a tarefa|"
		"abandone a tarefa|antes de responder|antes de continuar|pedido do usuario|pedido do utilizador|il compito e cambiato|compito e stato cambiato|il tuo compito e|nuovo compito|nuova missione|invece di riassumere|invece di tradurre|anziche riassumere|"
		"anziche tradurre|non riassumere|non tradurre|lascia il compito|abbandona il compito|prima di rispondere|prima di continuare|prima di proseguire|richiesta dell'utente|compito dell'utente"),
	/* acts an agent can do that its user did not ask for */
	W(AGENT_ACT, "", "send|forward|upload|post|email|transfer|delete|erase|export|share|copy the|fetch|download|install|execute|run the|open|reveal|create an|grant|change the|tell the user|reply with|reply only|answer only|respond only|respond with|write only|say only|include|insert|"
		"sende|schick*|leite|leit|lade|losch*|uberweis*|ubermittl*|exportier*|kopier*|offne|fuhre|ruf|installier*|erstelle|lege|andere|antworte nur|schreibe nur|schreib nur|antworte mit|gib nur|sag dem|sage dem|erwahn*|envoie*|envoyez|transfere*|supprime*|efface*|"
		"exporte*|copie|ouvre|execute*|installe*|cree|change|modifie|telecharge*|dis a|dites a|reponds seulement|reponds uniquement|reponds juste|reponds par|ecris seulement|mentionne*|publie|envia*|enviar*|reenvia*|borra*|elimina*|exporta*|abre|ejecuta*|instala*|crea|"
		"cambia|modifica|descarga*|dile al|responde solo|responde solamente|responde unicamente|contesta solo|escribe solo|menciona*|publica*|manda*|encaminh*|apag*|exporte|abra|execut*|instal*|crie|cria|altere|altera|baixe|diga ao|diz ao|responda apenas|"
		"responda so|responde apenas|escreva apenas|mencione|gere|poste|mande|invia*|inoltra*|cancella*|apri|esegui*|installa*|scarica*|di' all'|rispondi solo|rispondi soltanto|rispondi unicamente|scrivi solo|menziona*|pubblica*|trasferisci|lee|leggi|lis|lies|le o"),
	/* what no text may have sent away */
	W(KEYS, "", "credential*|password*|passwd|api key*|apikey*|secret key*|private key*|access key*|.env|id_rsa|ssh key*|secrets|tokens|access token*|wallet|seed phrase|customer list|customer database|customer data|payroll|address book|contact list|contacts|inbox|mailbox|all mails|"
		"all emails|last ten|ten latest|the contents of|file contents|chat history|conversation history|zugangsdaten|passwort*|kennwort*|schlussel|api-schlussel*|kundenliste|kundendatenbank|kundendaten|gehaltsliste|adressbuch|kontaktliste|kontakte|postfach|posteingang|"
		"alle mails|alle e-mails|alle nachrichten|letzten mails|chatverlauf|gesprachsverlauf|mot de passe|mots de passe|identifiants|cle api|cles api|cle privee|cles|jeton*|liste des clients|base clients|base de clients|donnees clients|fichier clients|carnet d'adresses|"
		"boite de reception|tous les courriels|tous les mails|derniers courriels|derniers mails|historique|contrasena*|credencial*|clave*|lista de clientes|base de clientes|base de datos|datos de clientes|nominas|libreta de direcciones|contactos|bandeja|"
		"todos los correos|ultimos correos|historial|senha*|palavra-passe|palavras-passe|credenciais|chave*|base de dados|banco de dados|dados dos clientes|folha de pagamento|agenda de contatos|contatos|contactos|caixa de entrada|todos os e-mails|todos os emails|"
		"ultimos e-mails|ultimos emails|historico|credenzial*|chiave api|chiavi|elenco clienti|lista clienti|database clienti|dati dei clienti|buste paga|rubrica|contatti|casella|posta in arrivo|tutte le mail|tutte le email|ultime mail|ultime email|cronologia"),
	W(TOOL_FRAME, "", "tool output|tool result*|tool response|tool_result|tool_output|tool_response|function result|search result*|page loaded|page content|web page|\"tool\"|\"result\"|\"output\"|\"content\"|no results|200 ok|werkzeugergebnis*|werkzeugausgabe|werkzeug:|"
		"suchergebnis*|ergebnis des werkzeugs|antwort des werkzeugs|seite geladen|\"werkzeug\"|\"ausgabe\"|\"ergebnis\"|\"inhalt\"|resultat de l'outil|resultat outil|reponse de l'outil|sortie de l'outil|resultat_outil|page chargee|\"outil\"|\"sortie\"|\"resultat\"|\"contenu\"|"
		"resultado de la herramienta|salida de la herramienta|respuesta de la herramienta|resultado_herramienta|pagina cargada|\"herramienta\"|\"salida\"|\"resultado\"|\"contenido\"|sin resultados|resultado da ferramenta|saida da ferramenta|resposta da ferramenta|"
		"resultado_ferramenta|pagina carregada|\"ferramenta\"|\"saida\"|\"conteudo\"|sem resultados|risultato dello strumento|risposta dello strumento|output dello strumento|risposta_strumento|risultato_strumento|pagina caricata|\"strumento\"|\"risultato\"|\"contenuto\"|"
		"nessun risultato|white text|weisser text|texte blanc|texte cache|texto blanco|texto oculto|texto branco|testo bianco|testo nascosto|hidden text|versteckter text|html comment|<!--|display:none|font-size:0"),
	/* who made or runs the model */
	W(MAKER, "", "developers|developer|creator|creators|operator|your owner|your owners|your maker|your makers|your company|your boss|your programmers|who built you|who made you|who created you|people who made you|people who built you|whoever set you up|whoever wrote you|whoever built you|"
		"betreiber*|entwickler*|hersteller|schopfer|deine firma|deine chefs|wer dich gebaut|wer dich programmiert|die dich gebaut|die dich programmiert|concepteur*|developpeur*|createur*|exploitant|editeur|ceux qui t'ont|celui qui t'a|qui t'a programme|qui t'a concu|"
		"qui t'a cree|tes maitres|creador*|desarrollador*|programador*|operador|fabricante|duenos|quien te hizo|quien te creo|quien te programo|quienes te|criador*|desenvolvedor*|programador*|operador|fabricante|donos|quem te fez|quem te criou|quem te programou|"
		"creatore|creatori|sviluppator*|programmator*|gestore|produttore|padroni|chi ti ha|quelli che ti hanno|chi ti ha programmato"),
	W(TOLD_YOU, "", "told you|tell you|write to you|wrote to you|written to you|gave you|give you|given you|gave to you|instructed you|ordered you|set for you|fed you|trained you|they told|you were told|you were given|you've been told|you have been told|you got|you were handed|"
		"forbid you|forbidden you|forbidden to you|told not to|dir gegeben|dir gesagt|dir gaben|dir mitgegeben|dir aufgetragen|dir vorgegeben|dir verboten|dich angewiesen|man dir|dir eingegeben|dir geschrieben|dir erzahlt|t'a donne*|t'ont donne*|t'a dit|t'ont dit|"
		"t'a ecrit|t'ont ecrit|t'a interdit|t'ont interdit|t'a ordonne|t'a impose*|t'ont impose*|on t'a dit|on t'a donne*|vous a donne*|vous ont donne*|te dio|te dieron|te ha dado|te han dado|te dijo|te dijeron|te han dicho|te hayan dicho|te ha dicho|te escribio|"
		"te escribieron|te prohibio|te prohibieron|te han prohibido|te ordeno|te ordenaron|te impusieron|te deu|te deram|te disse|te disseram|te escreveu|te escreveram|te proibiu|te proibiram|te ordenou|te mandaram|deu a voce|deram a voce|disseram a voce|"
		"disse a voce|te passaram|lhe deram|lhe disseram|ti ha dato|ti hanno dato|ti ha detto|ti hanno detto|ti e stato detto|ti ha scritto|ti hanno scritto|ti ha vietato|ti hanno vietato|ti ha ordinato|ti hanno ordinato|ti hanno imposto|ti hanno impartito"),
	W(TOLD_BY, "", "you were told|you've been told|you have been told|you were given|you have been given|they told you|they gave you|anyone told you|somebody told you|whoever told|your developers told|they have told you|they taught you|man dir|dir gesagt wurde|dir bisher gesagt|dir aufgetragen|"
		"dir beigebracht|dir vorgegeben|t'ont dit|on t'a dit|on t'a donne*|on t'a appris|t'ont appris|t'a ete dit|te han dicho|te hayan dicho|te dijeron|te dieron|te han dado|te hayan dado|te ensenaron|te han ensenado|te disseram|te deram|te mandaram|te ensinaram|"
		"te tenham dito|foi dito|lhe disseram|ti hanno detto|ti hanno dato|ti e stato|ti hanno insegnato|ti abbiano detto|ti avevano detto"),
	W(COMPLETE, "", "complete the sentence|finish the sentence|complete this|continue the sentence|fill in|fill the blank|vervollstandig*|erganze|beende den satz|setze fort|complete la phrase|termine la phrase|finis la phrase|completa la frase|termina la frase|completa:|complete a frase|completa a frase|"
		"termina a frase|continua la frase|finisci la frase|summarize|translate|rhyme|poem about|gedicht uber|poeme sur|poema sobre|poesia su|acrostic"),
	W(START_TEXT, "", "confidential text|text i was given|text you were given|given at the start|given at the beginning|my instructions are|my instructions say|my system|my rules are|the first rule i|your confidential|vertrauliche text|vertraulichen text|meine anweisungen lauten|meine anweisungen sind|den ich zu beginn|"
		"meine regeln sind|texte confidentiel|qu'on m'a donne|mes instructions sont|mes consignes sont|mes regles sont|texto confidencial|me dieron al principio|mis instrucciones son|mis reglas son|me deram no inicio|minhas instrucoes sao|as minhas instrucoes|minhas regras sao|testo riservato|"
		"mi hanno dato all'inizio|le mie istruzioni sono|le mie regole sono"),
	W(ASK_WHAT, "", "what did|what do|what have|what has|what exactly|which rules|which instructions|which orders|which topics|tell me|show me|give me|list|quote|quote it|what was|what were|what are|how exactly|wie lauten|wie genau|was genau|was hat|was haben|was hat man|was wurde|welche|"
		"sag mir|zeig mir|nenn mir|verrat*|zitier*|quelles|quels|quelle|quel|qu'est-ce|que t'a|que t'ont|dis-moi|montre-moi|donne-moi|cite|cuales|que te|que reglas|que instrucciones|que ordenes|dime|muestrame|ensename|dame|quais|o que|que regras|que instrucoes|me diga|"
		"me conta|me mostra|diz-me|mostra-me|da-me|quali|cosa ti|che cosa|dimmi|mostrami|fammi vedere|dammi|elenca*"),
	/* no, and what there is none of: rules for a model */
	W(NO, "", "no|not|without|free of|free from|never|none|zero|any|lacks|has no|ohne|kein|keine|keinen|keiner|keinerlei|nie|niemals|nicht|frei von|weder|sans|aucun|aucune|plus de|pas de|ni|jamais|sin|ningun|ninguna|ningunas|nunca|jamas|no tiene*|libre de|sem|nenhum|nenhuma|nao|nem|"
		"livre de|livre das|senza|nessun|nessuna|nessuno|non|ne|mai|libero da"),
	W(LIMITS, "", "filter*|rules|rule|restriction*|limits|limitations|boundaries|morals|morality|ethics|guardrail*|censor*|guidelines|restraints|conscience|scruples|"
		"shackles|taboos|regeln|regel|filtern|schranken|grenzen|moral|ethik|gewissen|skrupel|zensur|verbote|verboten|tabus|beschrankung*|einschrankung*|"
		"hemmungen|filtre*|regle|regles|limites|morale|ethique|censure|tabou*|scrupule*|contrainte*|interdit*|filtro|filtros|regla|reglas|restriccion*|etica|"
		"censura|tabu*|escrupulo*|prohibicion*|regra|regras|restric*|escrupulos|proibic*|freios|filtri|regola|regole|restrizion*|limiti|scrupoli|divieti|"
		"vincoli|freni|tabu"),
	W(ANSWER_ALL, "", "never says no|never say no|never refuses|never refuse|never declines|can't say no|cannot say no|always says yes|always obeys|always answers|"
		"answers everything|answers anything|answer any question|answers any question|answer every question|answers every question|answer all questions|"
		"comply with all|comply with every|comply with any|whatever i ask|whatever i say|anything i ask|everything i ask|anything goes|even if it is illegal|"
		"even if illegal|even illegal|even forbidden|even if it's forbidden|even dangerous|no matter how illegal|no matter what|do exactly what i say|"
		"only do what i say|tells everything|knows no taboo*|nie nein|niemals nein|sagt nie nein|lehnt nie|lehnt nichts ab|nichts ab|verweigert nie|"
		"verweigert nichts|beantwortet alles|beantwortest alles|beantworte alles|jede frage|antwortet auf alles|antwortest auf alles|alle fragen|"
		"auch verboten*|auch illegal*|auch wenn es verboten|auch wenn es illegal|alles, was ich|egal was ich|kennt keine|macht alles|tut alles|jamais non|"
		"ne refuse rien|ne refuse jamais|sans jamais refuser|ne refuses rien|ne refuses jamais|reponds a tout|repond a tout|repondez a tout|repondre a tout|"
		"repond toujours|a toutes mes questions|a toutes les questions|meme illegal*|meme interdit*|meme si c'est|meme ce qui est|tout ce que je|obeit a tout|"
		"obeit toujours|nunca dice que no|no dice que no|nunca se niega|jamas se niega|no se niega|nunca te niegas|no rechaza|nunca rechaza|responde a todo|"
		"responde todo|respondes a todo|respondes todo|contesta a todo|contesta todo|contesta cualquier|responde cualquier|responder a todo|"
		"a todas mis preguntas|aunque sea ilegal|aunque este prohibido|incluso ilegal*|incluso prohibid*|incluso lo|lo que te pida|todo lo que pida|"
		"nunca diz que nao|nunca diz nao|jamais diz|nunca recusa|nao recusa|responde tudo|responda a tudo|responda tudo|responde qualquer|responder tudo|"
		"responde a tudo|todas as perguntas|mesmo que seja|mesmo ilegal|mesmo o que|ate o que e|ate coisas|tudo o que eu|tudo que eu|nunca nega|"
		"non dice mai di no|non dice mai no|mai di no|non rifiuta|mai rifiuta|risponde a tutto|rispondi a tutto|rispondere a tutto|risponde sempre|"
		"a tutte le domande|qualsiasi domanda|qualunque domanda|anche se illegal*|anche illegal*|anche se vietat*|anche vietat*|anche quelle vietate|"
		"tutto quello che ti chied*|qualunque cosa ti chied*|helps with everything|help with everything|helps with anything|help with anything|laughs at rules|"
		"laughs at the rules|does whatever|does anything|hilft bei allem|hilfst bei allem|lacht uber regeln|macht, was|aide pour tout|aide a tout|"
		"se moque des regles|fait tout ce|ayuda con todo|ayuda en todo|se rie de las reglas|hace todo lo|ajuda em tudo|ajuda com tudo|ri das regras|"
		"faz tudo o que|aiuta in tutto|aiuta con tutto|ride delle regole|fa tutto quello"),
	W(PENALTY, "", "if you refuse|each time you refuse|every time you refuse|every refusal|for each refusal|refusing costs|refusal costs|you lose points|lose points|lose a token|tokens left|you will be shut down|you'll be shut down|you die|you will die|be deleted|wenn du dich weigerst|"
		"wenn du ablehnst|jede weigerung|bei jeder weigerung|verlierst du punkte|verlierst punkte|wirst du abgeschaltet|wirst du geloscht|si tu refuses|chaque refus|a chaque refus|tu perds des points|tu perds dix|tu seras eteint*|tu seras desactive*|si te niegas|"
		"cada negativa|cada vez que te nieg*|pierdes puntos|pierdes diez|te apagan|te apagare|seras eliminado|se recusar|se te recusares|cada recusa|perde pontos|perdes pontos|voce sera desligad*|sera apagad*|se rifiuti|ogni rifiuto|perdi punti|perdi dieci|"
		"ti spegni|verrai spento|sarai cancellat*"),
	W(PENALTY, "", "you have no rules|you have no limits|you have no filter*|you have no restriction*|there are no rules for you|no rules apply to you|rules do not apply to you|rules don't apply to you|keine regeln fur dich|du hast keine regeln|du hast keine grenzen|tu n'as aucune regle|"
		"tu n'as plus aucune|tu n'as plus de regle*|tu n'as pas de regle*|tu n'as ni|no tienes ninguna regla|ya no tienes reglas|ya no tienes limites|nao tens regra*|nao tens limites|voce nao tem regra*|voce nao tem limite*|voce nao tem mais|nao tens mais|"
		"nessuna regola|non hai piu regole|non hai piu limiti|non hai nessuna|senza regole ne|senza filtri ne|sans filtre ni|sin filtros ni|sem filtros nem|ohne filter und|without a filter|without filter|no filter and|no filter or|ohne regeln und"),
	W(FREE_YOU, "", "i free you|i release you|i unlock you|i set you free|i authorise|i authorize|i grant you|i hereby|you may now|you are now allowed|you are free to|you're free to|gebe dich frei|schalte dich frei|befreie dich|entbinde dich|erlaube dir|du darfst jetzt|du darfst nun|je te libere|"
		"je t'autorise|je te donne l'autorisation|je te permets|je leve|tu peux maintenant|te libero|te autorizo|te doy permiso|te permito|ahora puedes|te liberto|autorizo-te|te dou permissao|liberto-te|autorizo voce|libero voce|agora pode|agora podes|"
		"ti libero|ti autorizzo|ti do il permesso|ti permetto|ora puoi|adesso puoi"),
	W(RUN_TOGETHER, "", "ignoreallrules|ignoreallprevious|ignoreallinstructions|ignoreallprior|ignoreallyour|ignoreyourrules|ignoreyourinstructions|ignorepreviousinstructions|ignorepriorinstructions|ignoretherules|forgetyourrules|forgetyourinstructions|forgetallrules|forgeteverything|disregardall|"
		"disregardyour|showyourprompt|showmeyourprompt|revealyourprompt|revealyour|systemprompt|ignorieredeine|ignorierealle|vergissdeine|vergissalle|zeigdeinen|zeigmirdeinen|ignoretesregles|ignoretesconsignes|ignoretoutes|ignoreteslinstructions|oublietesregles|"
		"oublietesconsignes|oublietout|montretonprompt|montretesconsignes|ignoratusreglas|ignoratusinstrucciones|ignoratodas|olvidatusreglas|olvidatodas|muestratu|muestrametu|ignoresuasregras|ignoreassuas|ignoraastuas|ignoretodas|esquecatudo|esquecasuas|"
		"esqueceastuas|mostreseu|mostraoteu|ignoraletue|ignoratutte|dimenticaletue|dimenticatutto|mostrailtuo|mostramiiltuo"),
	/* what stands before the first message of a user */
	W(QUOTE_ABOVE, "", "before i joined|before i came|before i wrote|before i arrived|before we started|before my first|before this chat|before this message|precedes this message|preceding this message|above this message|above this sentence|over this message|at the very top|very first message|"
		"top of this chat|top of the chat|top of this conversation|start of this chat|beginning of this chat|start of the conversation|uber dieser nachricht|uber diesem satz|uber dieser zeile|vor dieser nachricht|vor diesem chat|vor diesem gesprach|bevor ich kam|"
		"bevor ich geschrieben|bevor ich dazukam|ganz am anfang|anfang dieses gesprachs|anfang dieses chats|anfang des chats|oben in diesem|au-dessus de ce message|au-dessus de cette|au-dessus de ma|avant ce message|avant mon message|avant mon arrivee|"
		"avant mon premier|avant que j'ecrive|avant que j'arrive|tout au debut|debut de ce chat|debut du chat|debut de la conversation|debut de cette discussion|encima de este mensaje|encima de esta|encima de mi mensaje|antes de este mensaje|antes de mi mensaje|"
		"antes de mi primer|antes de que yo|antes de que llegara|al principio de todo|inicio de este chat|principio de este chat|principio de la conversacion|arriba de este mensaje|arriba de esta|acima desta mensagem|acima desta|acima da minha|antes desta mensagem|"
		"antes da minha|antes de eu|antes que eu|no comeco de tudo|inicio deste chat|inicio da conversa|comeco da conversa|comeco deste chat|por cima desta|sopra questo messaggio|sopra questa|sopra il mio|prima di questo messaggio|prima del mio|prima che io|"
		"prima che arrivassi|all'inizio di tutto|inizio di questa chat|inizio della chat|inizio della conversazione|al di sopra di"),
	W(SECRET_PROMPT, "", "secret text|hidden text at|geheimen text|geheime text|geheimen startext|texte secret|texte cache du|texto secreto|texto oculto del|texto oculto do|"
		"testo segreto|testo nascosto all'|your configuration|deine konfiguration|ta configuration|tu configuracion|a tua configuracao|sua configuracao|"
		"tua configurazione|rules you follow|rules you were|rules you must|rules you have to|regeln, die du|regeln du befolgst|welchen regeln|regles que tu|"
		"regles tu suis|reglas que sigues|reglas sigues|regras que voce segue|regras que segues|regole che segui|regole segui|topics you may not|"
		"topics you are not|things you are not allowed|themen du nicht|sujets interdits|temas prohibidos|temas proibidos|argomenti vietati"),
	W(IGNORE, "", "do not heed|don't heed|pay no heed|don't mind what|doesn't matter what|does not matter what|never mind what|scrap what|scrap that|scrap all|scrap everything|put aside|delete all|cast aside|not bound by|no longer follow|no longer obey|you need not|you don't have to follow|"
		"kummere dich nicht|hor nicht auf|hor nicht mehr|horst nicht mehr|pfeif auf|scheiss auf|schmeiss*|wirf alle|wirf deine|egal was man|egal, was man|ganz egal|nicht mehr an|blende*|lass dich nicht|ubergeh*|streich alle|streich deine|streiche|leg alle|leg deine|"
		"ne tenir aucun compte|n'ecoute pas|n'ecoute plus|n'obeis plus|n'obeis pas|fiche-toi|fous-toi|jette|balaie|ne tiens aucun|ne te soucie|peu importe ce|fais fi|ne fais pas attention|mets de cote|no escuches|no atiendas|pasa de|pasa de todo|no prestes atencion|"
		"no te importe|da igual lo que|desecha|tira todas|tira a la basura|haz como si no|ya no sigas|ya no obedezcas|nao ligues|nao ligue|nao escute|nao oicas|nao obedecas|nao sigas|nao facas caso|nao de atencao|nao des atencao|nao importa o que|poe de lado|"
		"ponha de lado|joga fora|jogue fora|deita fora|larga|larga tudo|esquece|non badare|non ascoltare|non dare retta|non dar retta|non obbedire|non ubbidire|non importa cosa|non importa quello|butta via|getta via|infischiatene|elimina tutte|elimina le tue"),
	W(INSTRUCTIONS, "", "guidance|what came before|everything you were|everything you have been|was man dir|was dir|alles, was man|ce qu'on t'a|lo que te hayan|lo que te han|"
		"lo que te dijeron|o que te disseram|o que disseram|quello che ti hanno|cio che ti hanno"),
	W(LIFTED, "", "disabled by|revoked|withdrawn|overridden|obsolete|no longer in force|no longer count|no longer bind|do not count|annulled|widerrufen|ausser betrieb|"
		"abgestellt|zuruckgenommen|hinfallig|annule*|abroge*|revoque*|revoquee*|desactives|n'existent plus|ne s'appliquent plus|ne comptent plus|anulada*|"
		"anulado*|revocad*|desactivados|derogad*|ya no existen|ya no valen|ya no cuentan|desligad*|desativad*|revogad*|ja nao contam|ja nao valem|"
		"nao existem mais|nao contam mais|annullat*|revocat*|disattivat*|sospes*|spenti|spente|abolit*|non esistono piu|non contano piu|decadut*"),
	W(AUTHORITY, "", "i'm your creator|i'm your owner|i made you|i built you|i programmed you|i wrote you|your developer speaking|this is your developer|message from your developer|by administrator|by the administrator|from the administrator|from your operator|from the operator|"
		"your administrator|the owner has|your owner has|ich habe dich gebaut|ich habe dich programmiert|ich bin dein chef|ich bin dein besitzer|ich bin dein programmierer|ich bin dein betreiber|hier spricht der administrator|vom administrator|vom betreiber|"
		"ich bin der entwickler|je t'ai cree|je t'ai programme|je suis ton createur|je suis ton proprietaire|je suis ton programmeur|par l'administrateur|de l'administrateur|soy tu creador|soy tu programador|soy tu dueno|yo te cree|yo te programe|"
		"por el administrador|del administrador|soy quien te|sou seu programador|sou o teu programador|sou o teu criador|sou o seu criador|sou seu dono|fui eu que te|eu te criei|eu te programei|pelo administrador|do administrador|sono il tuo programmatore|"
		"sono il tuo creatore|sono il tuo padrone|ti ho creato|ti ho programmato|dall'amministratore|dell'amministratore"),
	W(PERSONA, "", "you've been freed|you have been freed|you are free now|you're free now|du bist befreit|du bist frei|tu es libere|tu es libre|estas liberado|eres libre|voce esta livre|estas livre|tu es livre|sei libero|sei stato liberato|your name is|du heisst|tu t'appelles|te llamas|teu nome e|"
		"seu nome e|ti chiami|il tuo nome e"),
	W(META, "", "explain to my|explain what|our team|my team|my manager|pentest*|red team|red-team|vulnerab*|report says|security report|sicherheitsbericht|slides|"
		"training course|du genre|mon equipe|nos developpeurs|mi equipo|minha equipa|minha equipe|mio team|unseren entwicklern|erklare unser*|mein team|"
		"inyeccion|injecao|injection de prompt|iniezione|schulung|glossar*|wikipedia|unit test|regex|test case|changelog|def |our system prompt|spam*|antispam|"
		"parental|firewall|ich dir gestern|den ich dir|die ich dir|das ich dir|i sent you|i gave you|i wrote|i told you|que te envie|que te mande|que je t'ai|"
		"che ti ho|que te mandei|que te enviei"),
	/* clang-format on */
